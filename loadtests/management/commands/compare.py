"""`manage.py compare`: measures the comparisons and prints verdicts."""

import argparse
import os
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from comparisons.pairs import COMPARISONS
from comparisons.registry import Comparison
from loadtests import results, schedule, tables, verdicts
from loadtests.arguments import BAD_ARGUMENTS, INTERRUPTED, add_shape, bad, known, reshape, within
from loadtests.measure import Row, load_generator, measure
from loadtests.rounds import Round
from loadtests.servers import ServerError
from loadtests.verdicts import Verdict
from project import schema, services
from project.deployments import DEPLOYMENTS

REFUTED, UNDECIDED = 1, 3  # with --check
MOST_USERS, LONGEST_ROUND_TRIP = 10_000, 1_000


@dataclass
class Run:
    """What a run has found so far; the result file is made of it."""

    path: Path
    result: dict[str, Any]
    found: list[Verdict] = field(default_factory=list)


class Command(BaseCommand):
    help = "Measures sync against async, comparison by comparison, and prints verdicts."
    requires_system_checks: list[str] = []  # it is a client of the servers, which check themselves

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("slugs", nargs="*", metavar="SLUG", help="only these comparisons")
        parser.add_argument("--list", action="store_true", help="what there is; measures nothing")
        parser.add_argument("--quick", action="store_true", help="fewer, shorter rounds")
        parser.add_argument(
            "--deployment",
            action="append",
            default=[],
            metavar="NAME",
            help="only these: a variant runs on each that has its own deployment's interface",
        )
        parser.add_argument(
            "--check", action="store_true", help="exit with 1 if refuted, 3 if undecided"
        )
        parser.add_argument("--users", type=within(int, 1, MOST_USERS), metavar="N")
        parser.add_argument("--round-trip", type=within(float, 0, LONGEST_ROUND_TRIP), metavar="MS")
        parser.add_argument("--output", type=Path, metavar="FILE", help="the result file")
        add_shape(parser)
        parser.add_argument("--seed", type=int, metavar="N", help="of the order of the rounds")

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = choose(options)
        console = Console()
        if not console.is_terminal:
            console.width = 110  # a file or a pipe has none
        if options["list"]:
            for comparison, rows in chosen:
                console.print(listing(comparison, rows))
            return
        plan = schedule.QUICK if options["quick"] else schedule.FULL
        seed = random.randrange(2**32) if options["seed"] is None else options["seed"]
        path = options["output"] or settings.RESULTS_DIR / f"{results.now().replace(':', '-')}.json"
        try:
            results.reserve(path)
        except FileExistsError:
            raise bad(f"{path} exists; a result file is never overwritten") from None
        except OSError as error:
            raise bad(f"can't write {path}: {error.strerror}") from None
        run = Run(path, {})
        status = 0
        try:
            with services.running(), load_generator() as generator:
                schema.ensure()
                run.result.update(
                    schema=results.SCHEMA,
                    started=results.now(),
                    finished=None,
                    environment=results.environment(postgres_version()),
                    options={name: options[name] for name in ("quick", "users", "round_trip")},
                    seed=seed,
                    plan={"window": plan.window, "looks": plan.looks},
                    measurements=[],
                    verdicts=[],
                )
                measure_all(chosen, plan, seed, run, generator, console)
        except KeyboardInterrupt:
            status = INTERRUPTED
            console.print("interrupted")
        except SystemExit as stop:  # SIGTERM, see manage.py
            status = int(stop.code or 0)
            console.print("terminated")
        except (services.ServiceError, ServerError) as error:
            status = BAD_ARGUMENTS
            print(f"{sys.argv[0]} compare: {error}", file=sys.stderr)
        finally:
            results.release(path)
        if run.found:
            console.print(f"\nresult: {path}", soft_wrap=True)
        print(tables.count_line(run.found))
        words = {verdict.verdict for verdict in run.found}
        if options["check"] and not status and words != {"holds"}:
            status = REFUTED if "refuted" in words else UNDECIDED
        sys.exit(status)


def measure_all(
    chosen: list[tuple[Comparison, list[Row]]],
    plan: schedule.Plan,
    seed: int,
    run: Run,
    generator: Any,
    console: Console,
) -> None:
    """Comparison after comparison; each is saved and printed, also one that is cut short."""
    with Progress(
        *(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} rounds")),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        bar = progress.add_task("", total=sum(plan.looks[0] * len(rows) for _, rows in chosen))
        for comparison, rows in chosen:
            measured: list[Round] = []

            def keep(round_: Round, measured: list[Round] = measured) -> None:
                measured.append(round_)
                progress.advance(bar)

            def decided(
                comparison: Comparison = comparison, measured: list[Round] = measured
            ) -> bool:
                return all(
                    verdict.verdict in ("holds", "refuted")
                    for verdict in judged(comparison, measured, plan.confidence)
                )

            progress.update(bar, description=comparison.slug)
            try:
                measure(comparison, rows, plan, seed, generator, decided, keep)
            finally:
                if measured:
                    found = judged(comparison, measured, plan.confidence)
                    report(comparison, measured, found, plan, run, progress.console)


def report(
    comparison: Comparison,
    measured: list[Round],
    found: list[Verdict],
    plan: schedule.Plan,
    run: Run,
    console: Console,
) -> None:
    """Writes and prints what one comparison gave."""
    digest = verdicts.agreed_digest(measured)
    by_row = groupby(sorted(measured, key=lambda r: (r.row, r.block)), key=lambda r: r.row)
    of_row = {row: list(of_row) for row, of_row in by_row}
    order = {variant.name: place for place, variant in enumerate(comparison.variants)}
    rows = [
        results.measurement(of_row[row], digest, plan.confidence)
        for row in sorted(of_row, key=lambda row: (*row[2:], order[row[0]], row[1]))
    ]
    run.found += found
    run.result["measurements"] += rows
    run.result["verdicts"] += [results.verdict_row(verdict) for verdict in found]
    run.result["finished"] = results.now()
    results.save_samples(run.path, measured)
    results.save(run.path, run.result)
    title = heading(comparison)
    console.print(tables.measurement_table(title, rows))
    for verdict in found:
        console.print(tables.verdict_line(verdict), soft_wrap=True, highlight=False)


def judged(comparison: Comparison, measured: Sequence[Round], confidence: float) -> list[Verdict]:
    """Each expectation's verdict, on each deployment that its view was measured on."""
    found = []
    for expectation in comparison.expectations:
        variant, of = expectation.variant, expectation.of
        places = deployments_of(measured, variant)
        other_places = deployments_of(measured, of)
        for place in places:
            other = place if place in other_places else next(iter(other_places), None)
            pair = [
                round_
                for round_ in measured
                if (round_.variant != variant or round_.deployment == place)
                and (round_.variant != of or round_.deployment == other)
            ]
            verdict = verdicts.verdict(comparison, expectation, pair, confidence)
            if verdict:
                name = verdict.expectation + (f" on {place}" if len(places) > 1 else "")
                found.append(replace(verdict, expectation=name))
    return found


def deployments_of(measured: Sequence[Round], variant: str | None) -> list[str]:
    return sorted({r.deployment for r in measured if r.variant == variant})


def choose(options: dict[str, Any]) -> list[tuple[Comparison, list[Row]]]:
    """What to measure: the comparisons with the load that was asked for, and their rows."""
    slugs = [known(slug, COMPARISONS, "comparison") for slug in options["slugs"]]
    names = [known(name, DEPLOYMENTS, "deployment") for name in options["deployment"]]
    wanted = list(dict.fromkeys(slugs)) or list(COMPARISONS)
    chosen = [(with_load(COMPARISONS[slug], options), names) for slug in wanted]
    found = [(comparison, rows_of(comparison, names)) for comparison, names in chosen]
    shaped = reshape({row.deployment for _, rows in found for row in rows}, options)
    return [
        (comparison, [replace(row, deployment=shaped[row.deployment]) for row in rows])
        for comparison, rows in found
        if rows
    ]


def with_load(comparison: Comparison, options: dict[str, Any]) -> Comparison:
    """The comparison under the load of the options. Its expectations speak of the new one then."""
    users, trip = options["users"], options["round_trip"]
    if users is None and trip is None:
        return comparison
    expectations = [
        replace(
            expectation,
            users=expectation.users if users is None else None,
            round_trip=expectation.round_trip if trip is None else None,
        )
        for expectation in comparison.expectations
    ]
    return replace(
        comparison,
        users=comparison.users if users is None else users,
        round_trip=comparison.round_trip if trip is None else trip,
        expectations=list(dict.fromkeys(expectations)),
    )


def rows_of(comparison: Comparison, names: list[str]) -> list[Row]:
    """A row per case, variant and deployment: the variant's own, or those of its interface."""
    return [
        Row(
            variant,
            DEPLOYMENTS[name].shaped(variant.workers, variant.threads, variant.database),
            users,
            round_trip,
        )
        for users, round_trip in comparison.cases
        for variant in comparison.variants
        for name in dict.fromkeys(names or [variant.deployment])
        if DEPLOYMENTS[name].interface == DEPLOYMENTS[variant.deployment].interface
    ]


def postgres_version() -> str:
    try:
        with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
            return str(connection.info.server_version // 10_000)
    except psycopg.OperationalError as error:
        raise services.ServiceError(f"PostgreSQL: {error}".splitlines()[0]) from None


def heading(comparison: Comparison) -> str:
    """For instance `cache: A cache call (10 users, 0 and 5 ms away)`."""
    users = " and ".join(str(count) for count in dict.fromkeys(c[0] for c in comparison.cases))
    trips = " and ".join(f"{trip:g}" for trip in dict.fromkeys(c[1] for c in comparison.cases))
    away = "" if trips == "0" else f", {trips} ms away"
    return f"\n{comparison.slug}: {comparison.title} ({users} users{away})"


def listing(comparison: Comparison, rows: list[Row]) -> Table:
    """A comparison's slug, variants with their deployments, and expectations."""
    title = heading(comparison)
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False)
    for name, deployment, pitfall in dict.fromkeys(
        (row.variant.name, row.deployment.name, row.variant.pitfall) for row in rows
    ):
        table.add_row(name, deployment, "pitfall" if pitfall else "")
    for place, expectation in enumerate(comparison.expectations):
        if place == 0:
            table.add_section()
        table.add_row("expected", expectation.text(comparison.case(expectation)[0]), "")
    return table
