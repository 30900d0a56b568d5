"""`manage.py compare`: measures the comparisons and prints verdicts."""

import argparse
import random
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from comparisons.declarations import nearest
from comparisons.registry import MAX_ROUND_TRIP_MS, MAX_USERS, Comparison
from comparisons.result import UNREADABLE
from loadtests.arguments import SHAPE, add_shape, bad, within
from loadtests.judging import verdicts
from loadtests.judging.declared import Declared
from loadtests.judging.rounds import Round
from loadtests.judging.verdicts import Verdict
from loadtests.reporting import results, tables
from loadtests.running import schedule
from loadtests.running.generators import Generator, load_generator
from loadtests.running.measuring import measure
from loadtests.running.pinning import leave_last_core
from loadtests.running.rows import Row
from loadtests.running.selection import choose
from loadtests.running.warming import ViewError
from project import exit_status, limits, services, signals
from project.errors import FatalError
from project.output import OutputError
from project.services import schema

RECORDED = (*SHAPE, "quick", "null", "pin", "deployment", "users", "round_trip", "rate")
MAX_RATE = 10_000


@dataclass
class Run:
    """What a run has found so far; the result file is made of it."""

    path: Path
    result: dict[str, Any]
    found: list[Verdict] = field(default_factory=list)
    complete: bool = True  # whether every comparison could be measured


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
        parser.add_argument("--users", type=within(int, 1, MAX_USERS), metavar="N")
        parser.add_argument("--round-trip", type=within(float, 0, MAX_ROUND_TRIP_MS), metavar="MS")
        parser.add_argument(
            "--rate",
            type=within(float, 0.1, MAX_RATE),
            metavar="R",
            help="an open loop of R requests/s; latency counts from when they were due",
        )
        parser.add_argument("--null", action="store_true", help="each variant against itself")
        parser.add_argument(
            "--from", dest="source", type=Path, metavar="FILE", help="print a result again"
        )
        parser.add_argument("--output", type=Path, metavar="FILE", help="the result file")
        add_shape(parser)
        parser.add_argument(
            "--pin",
            action="store_true",
            help="the load generator has the last core for itself, all else has the others",
        )
        parser.add_argument("--seed", type=int, metavar="N", help="of the order of the rounds")

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(markup=False)
        if not console.is_terminal:
            console.width = 120  # a file or a pipe has none
        if options["source"]:
            found = print_again(options["source"], options["slugs"], console)
            print(tables.count_line(found))
            sys.exit(check(found) if options["check"] else 0)
        choice = choose(options)
        for line in choice.left_out:
            console.print(line, soft_wrap=True, highlight=False)
        if options["list"]:
            for comparison, rows in choice.rows:
                console.print(listing(comparison, rows))
            return
        if options["pin"]:
            try:
                leave_last_core()
            except ValueError as error:
                raise bad(f"--pin: {error}") from None
        plan = schedule.QUICK if options["quick"] else schedule.FULL
        seed = random.randrange(2**32) if options["seed"] is None else options["seed"]
        path = options["output"] or settings.RESULTS_DIR / f"{results.now().replace(':', '-')}.json"
        run = Run(path, {})
        status = 0
        stopped: signals.Stopped | None = None
        lost: OutputError | None = None
        reserve(path)
        try:
            with limits.named(), services.running(), load_generator() as generator:
                schema.ensure()
                if options["pin"] and (others := services.started_by_others()):
                    names = ", ".join(others)
                    console.print(f"--pin: {names}: started by another command, on its cores")
                run.result.update(
                    schema=results.SCHEMA,
                    started=results.now(),
                    finished=None,
                    environment=results.environment(schema.server_version()),
                    options={name: options[name] for name in RECORDED},
                    seed=seed,
                    plan={"window": plan.window, "looks": plan.looks},
                    load_generator={"capacity": generator.capacity},
                    declared=[],
                    measurements=[],
                    verdicts=[],
                )
                measure_all(choice.rows, plan, seed, run, generator, console)
                status = exit_status.OK if run.complete else exit_status.CANNOT_RUN
        except signals.Stopped as signal:
            stopped, status = signal, signal.status
        except FatalError as error:
            status = exit_status.CANNOT_RUN
            print(f"{sys.argv[0]} compare: {error}", file=sys.stderr)
        except OutputError as error:
            lost, status = error, error.status
        with signals.held():
            results.release(path)
            saved = path.exists()
            try:
                if stopped:
                    print(stopped)
                if saved:
                    print(f"\nresult: {path}")
                print(tables.count_line(run.found), flush=True)
            except OutputError as error:
                lost, status = error, status or error.status
            if lost:
                place = f"; result: {path}" if saved else ""
                print(f"{sys.argv[0]} compare: {lost}{place}", file=sys.stderr)
        sys.exit(check(run.found) if options["check"] and not status else status)


def reserve(path: Path) -> None:
    """Create the result file. CommandError if that can't be."""
    try:
        with signals.held():
            results.reserve(path)
    except FileExistsError:
        raise bad(f"{path} exists; a result file is never overwritten") from None
    except OSError as error:
        raise bad(f"can't write {path}: {error.strerror}") from None
    except signals.Stopped:
        results.release(path)
        raise


def check(found: Sequence[Verdict]) -> int:
    """The exit status that speaks of the verdicts."""
    words = {verdict.verdict for verdict in found}
    if words <= {"holds"}:
        return 0
    return exit_status.REFUTED if "refuted" in words else exit_status.UNDECIDED


def measure_all(
    chosen: list[tuple[Comparison, list[Row]]],
    plan: schedule.Plan,
    seed: int,
    run: Run,
    generator: Generator,
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
            declared = Declared.of(comparison)

            in_doubt = partial(verdicts.in_doubt, declared, confidence=plan.confidence)
            logs = results.logs_path(run.path)
            measuring = measure(comparison, rows, plan, seed, generator, in_doubt, logs)
            progress.update(bar, description=comparison.slug)
            try:
                with closing(measuring):
                    for round_ in measuring:
                        measured.append(round_)
                        progress.advance(bar)
            except ViewError as error:
                run.complete = False
                print(f"{sys.argv[0]} compare: {comparison.slug}: {error}", file=sys.stderr)
            finally:
                if measured:
                    table, found = summary(declared, measured, plan.confidence)
                    remark = ""
                    try:
                        with signals.held():
                            run.result["declared"].append(declared.as_row())
                            run.found += found
                            run.result["measurements"] += table
                            run.result["verdicts"] += map(results.verdict_row, found)
                            run.result["finished"] = results.now()
                            remark = results.save(run.path, run.result, measured)
                    finally:
                        print_summary(heading(declared), table, found, progress.console)
                    if remark:
                        progress.console.print(remark, soft_wrap=True, highlight=False)


def summary(
    declared: Declared, measured: list[Round], confidence: float
) -> tuple[list[dict[str, Any]], list[Verdict]]:
    """The comparison's rows of the result file, and its verdicts."""
    digest = verdicts.agreed_digest(measured)
    by_row = groupby(sorted(measured, key=lambda r: (r.row, r.block)), key=lambda r: r.row)
    of_row = {row: list(of_row) for row, of_row in by_row}
    order = {name: place for place, name in enumerate(declared.variants)}
    rows = [
        results.measurement(of_row[row], digest, confidence)
        for row in sorted(of_row, key=lambda row: (*row[2:], order[row[0]], row[1]))
    ]
    return rows, verdicts.judged(declared, measured, confidence)


def print_summary(
    title: str, rows: list[dict[str, Any]], found: list[Verdict], console: Console
) -> None:
    console.print(tables.measurement_table(title, rows))
    if any(row["rate"] for row in rows):
        late = max(row["send_delay_ms"] for row in rows)
        console.print(
            f"open loop; the generator itself was up to {tables.figure(late)} ms late (p99)"
        )
    for verdict in found:
        console.print(tables.verdict_line(verdict), soft_wrap=True, highlight=False)


def print_again(source: Path, slugs: Sequence[str], console: Console) -> list[Verdict]:
    """A result's tables and verdicts, computed again from its raw samples where there are any."""
    try:
        saved = results.load(source)
    except ValueError as error:
        raise bad(str(error)) from None
    everything: list[Verdict] = []
    own = []
    try:
        declared = saved.declared
        there = list(dict.fromkeys(row["comparison"] for row in saved.result["measurements"]))
        for slug in slugs:
            if slug not in there:
                raise bad(f"{source} has no comparison {slug!r}{nearest(slug, there)}")
        for slug in (slug for slug in there if slug in slugs or not slugs):
            measured = [round_ for round_ in saved.rounds if round_.comparison == slug]
            if slug in declared and measured:
                title = heading(declared[slug])
                table, found = summary(declared[slug], measured, saved.confidence)
            else:
                own.append(slug)
                table, found = saved.rows(slug), saved.verdicts(slug)
                title = (
                    heading(declared[slug]) if slug in declared else heading_of_rows(slug, table)
                )
            print_summary(title, table, found, console)
            everything += found
    except UNREADABLE as error:
        raise bad(results.no_result(source, error)) from None
    if own:
        why = saved.without_rounds or f"of {', '.join(own)} it has no samples or no expectations"
        console.print(f"\n{why}: the figures are the file's own", soft_wrap=True, highlight=False)
    return everything


def heading(declared: Declared) -> str:
    """For instance `cache: A cache call (10 users, 0 and 5 ms away)`."""
    title = f"{declared.comparison}: {declared.title}"
    return f"\n{title} ({_load(declared.users, declared.round_trip)})"


def heading_of_rows(slug: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """The same of a file that does not say the title."""
    return f"\n{slug} ({_load(*([row[key] for row in rows] for key in ('users', 'round_trip')))})"


def _load(users: Iterable[int], round_trip: Iterable[float]) -> str:
    counts = " and ".join(str(count) for count in dict.fromkeys(users))
    trips = " and ".join(f"{trip:g}" for trip in dict.fromkeys(round_trip))
    return f"{counts} users" + ("" if trips == "0" else f", {trips} ms away")


def listing(comparison: Comparison, rows: list[Row]) -> Table:
    """A comparison's slug, variants with their deployments, and expectations."""
    title = heading(Declared.of(comparison))
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
