"""`manage.py compare`: measures the comparisons and prints verdicts."""

import argparse
import random
import sys
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from comparisons import result_store
from comparisons.changes import changes, of_comparisons
from comparisons.confidence import ALPHA
from comparisons.declarations import nearest
from comparisons.own_pairs import is_path, slug_of
from comparisons.pages.source import own_shape
from comparisons.pairs import GROUPS
from comparisons.questions import QUESTIONS
from comparisons.registry import MAX_RATE, MAX_ROUND_TRIP_MS, MAX_WAITING_USERS
from comparisons.result import Result, Verdict, now, timestamp
from comparisons.result_store import ResultError, SaveError
from loadtests.arguments import SHAPE, add_shape, bad, read_before, reserve, within
from loadtests.judging import verdicts
from loadtests.judging.declared import Declared
from loadtests.judging.measurements import measurements
from loadtests.judging.rounds import Round
from loadtests.reporting import saved, terminal
from loadtests.reporting.changed import print_against
from loadtests.running import hosted, schedule
from loadtests.running.events import Begins, Chosen, Ends, Event, Failed, Measured, Started
from loadtests.running.host import Host
from loadtests.running.machines import add_machines, crew_of, servers_place
from loadtests.running.pinning import leave_last_core
from loadtests.running.remote import run_there
from loadtests.running.run import plan_of
from loadtests.running.run import run as measuring
from loadtests.running.selection import choose
from project import exit_status, limits, signals
from project.errors import FatalError
from project.output import OutputError

RECORDED = (
    *SHAPE,
    *("quick", "minutes", "null", "pin", "deployment", "users", "round_trip", "rate"),
    *("generators", "load_from", "servers_on", "host", "urls", "bystander"),
)
MAX_MINUTES = 24 * 60


@dataclass
class Run:
    """What a run has found so far, and the file that keeps it."""

    path: Path
    result: Result
    plan: schedule.Plan
    pinned: bool
    every_reason: bool = False  # print it of verdicts that hold, too
    complete: bool = True  # whether every comparison could be measured
    # What the verdicts rest on, comparison by comparison.
    judged: list[tuple[Declared, list[Round]]] = field(default_factory=list)


class Command(BaseCommand):
    help = "Measures sync against async, comparison by comparison, and prints verdicts."
    requires_system_checks: list[str] = []  # it is a client of the servers, which check themselves

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "slugs",
            nargs="*",
            metavar="SLUG",
            help="only these comparisons; or the PATH/my_pair.py of one of your own",
        )
        parser.add_argument(
            "--list",
            action="store_true",
            help="what there is, or all about these SLUGs; measures nothing",
        )
        parser.add_argument(
            "--quick", action="store_true", help="shorter rounds; second looks only in time"
        )
        parser.add_argument(
            "--deployment",
            action="append",
            default=[],
            metavar="NAME",
            help="only these: a variant runs on each that has its own deployment's interface",
        )
        parser.add_argument(
            "--check",
            action="store_true",
            help="exit with 1 if refuted, or if a row serves less than in --against or blocks now; "
            "with 3 if undecided",
        )
        parser.add_argument(
            "--users",
            type=within(int, 1, MAX_WAITING_USERS),
            metavar="N",
            help="another number of users; what speaks of their own is not judged",
        )
        parser.add_argument(
            "--round-trip",
            type=within(float, 0, MAX_ROUND_TRIP_MS),
            metavar="MS",
            help="the services so far away; what speaks of another distance is not judged",
        )
        parser.add_argument(
            "--rate",
            type=within(float, 0.1, MAX_RATE),
            metavar="R",
            help="an open loop of R requests/s; latency counts from when they were due",
        )
        parser.add_argument("--null", action="store_true", help="each variant against itself")
        parser.add_argument(
            "--for",
            dest="minutes",
            type=within(float, 0.1, MAX_MINUTES),
            metavar="MINUTES",
            help="measure on until all is decided, or for so long",
        )
        parser.add_argument(
            "--from", dest="source", type=Path, metavar="FILE", help="print a result again"
        )
        parser.add_argument(
            "--against",
            type=Path,
            metavar="FILE",
            help="at the end, what changed since that result: changed, same, or can't tell",
        )
        parser.add_argument(
            "--output",
            type=Path,
            metavar="FILE",
            help="the result file; with --from, that result as its samples give it today",
        )
        add_shape(parser)
        add_machines(parser)
        parser.add_argument(
            "--pin",
            action="store_true",
            help="the load generator has the last core for itself, all else has the others",
        )
        hosted.add_host(parser)
        parser.add_argument("--seed", type=int, metavar="N", help="of the order of the rounds")

    def handle(self, *args: Any, **options: Any) -> None:
        # The pairs' paths have been loaded (project/command.py): from here on they are slugs.
        options["slugs"] = [slug_of(s) if is_path(s) else s for s in options["slugs"]]
        console = Console(markup=False)
        if not console.is_terminal:
            console.width = 100  # a file or a pipe has none
        host = hosted.asked_for(options)
        if options["list"] and not options["source"]:
            sys.exit(_list(options, console))
        before = read_before(options["against"]) if options["against"] else None
        if options["source"]:
            status = _print_again(options, before, console)
        else:
            status = _run(options, before, console, host)
        sys.exit(status)


def _print_again(options: Mapping[str, Any], before: Result | None, console: Console) -> int:
    path = options["source"]
    try:
        again = saved.read(path)
    except ResultError as error:
        raise bad(str(error)) from None
    for slug in options["slugs"]:
        if slug not in again.slugs:
            raise bad(f"{path} has no comparison {slug!r}{nearest(slug, again.slugs)}")
    if options["output"]:
        _write_again(again, options["output"])
    verdicts = terminal.print_again(again, options["slugs"], console, options["verbosity"] > 1)
    is_worse = False
    if before:
        try:
            with result_store.reading(path):
                found = changes(before, of_comparisons(again.result, options["slugs"]))
        except ResultError as error:
            raise bad(str(error)) from None
        is_worse = print_against(
            found, str(options["against"]), str(path), console, options["check"]
        )
    print(terminal.count_line(verdicts))
    return _status_of(verdicts, is_worse) if options["check"] else exit_status.OK


def _write_again(again: saved.Saved, path: Path) -> None:
    reserve(path)
    try:
        with signals.held():
            result_store.write(path, again.computed())
    except SaveError as error:
        raise bad(str(error)) from None
    finally:
        result_store.release(path)


def _list(options: dict[str, Any], console: Console) -> int:
    """Print a line for each comparison; of those that are asked for by name, all that there is."""
    choice = choose(options)
    _print_lines(choice.left_out, console)
    chosen = {comparison.slug: (comparison, rows) for comparison, rows in choice.rows}
    lines: list[str] = []
    if not options["slugs"]:
        groups = {
            name: [Declared.of(one.comparison) for one in group if one.comparison.slug in chosen]
            for name, group in GROUPS.items()
        }
        lines += terminal.index(groups, console.width)
        lines += terminal.questions(QUESTIONS, chosen, console.width)
        lines.append("\n--list SLUG shows its variants, deployments and expectations.")
    for slug in options["slugs"]:
        comparison, rows = chosen[slug]
        served = dict.fromkeys(
            (row.variant.name, row.deployment.name, *own_shape(row.variant)) for row in rows
        )
        lines += terminal.detail(
            Declared.of(comparison), served, comparison.met_under, console.width
        )
    _print_lines(lines, console)
    return exit_status.OK


def _print_lines(lines: Iterable[str], console: Console) -> None:
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)


def _run(
    options: dict[str, Any], before: Result | None, console: Console, host: Host | None
) -> int:
    """Measure what is chosen, and save and print it. Return the exit status.

    host: somebody else's, who serves it.
    """
    crew = crew_of(options)
    if options["pin"] and crew:
        raise bad("--pin is for one load generator, which has the last core for itself")
    plan = hosted.whole_plan_of(options) if host else plan_of(options)
    seed = random.randrange(2**32) if options["seed"] is None else options["seed"]
    path = options["output"] or settings.RESULTS_DIR / f"{timestamp(now()).replace(':', '-')}.json"
    result = Result(
        started=now(),
        options={name: options[name] for name in RECORDED},
        seed=seed,
        plan={"window": plan.window, "looks": plan.looks, "alpha": ALPHA},
    )
    run = Run(path, result, plan, options["pin"], options["verbosity"] > 1)
    status = exit_status.OK
    stopped: signals.Stopped | None = None
    lost: OutputError | None = None
    is_worse = False
    logs = result_store.logs_path(path)
    there = servers_place(options)
    if host:
        say = partial(console.print, soft_wrap=True, highlight=False)
        running = hosted.run(host, options, seed, logs, crew, say)
    elif there and crew:
        running = run_there(there, options, seed, logs, crew, options["address"])
    else:
        running = measuring(options, seed, logs, crew)
    with closing(running) as events:
        chosen = next(events)
        assert isinstance(chosen, Chosen)
        if options["pin"]:
            try:
                leave_last_core()
            except ValueError as error:
                raise bad(f"--pin: {error}") from None
        _print_lines(chosen.left_out, console)
        reserve(path)
        try:
            with limits.named(), closing(events):
                take(events, chosen.rounds, run, console)
            status = exit_status.OK if run.complete else exit_status.CANNOT_RUN
        except signals.Stopped as signal:
            stopped, status = signal, signal.status
        except (FatalError, SaveError) as error:
            status = exit_status.CANNOT_RUN
            print(f"{sys.argv[0]} compare: {error}", file=sys.stderr)
        except OutputError as error:
            lost, status = error, error.status
    with signals.held():
        result_store.release(path)
        is_saved = path.exists()
        try:
            if stopped:
                print(stopped)
            if is_saved:
                print(f"\nresult: {path}")
            print(_sureness(run), end="")
            if before and is_saved:
                found = changes(before, result)
                is_worse = print_against(
                    found, str(options["against"]), str(path), console, options["check"]
                )
            print(terminal.count_line(result.verdicts), flush=True)
        except OutputError as error:
            lost, status = error, status or error.status
        if lost:
            place = f"; result: {path}" if is_saved else ""
            print(f"{sys.argv[0]} compare: {lost}{place}", file=sys.stderr)
    if status or not options["check"]:
        return status
    return _status_of(result.verdicts, is_worse)


def _status_of(verdicts: Iterable[Verdict], is_worse: bool) -> int:
    """The exit status that speaks of the verdicts, and of what is worse than --against."""
    if is_worse:
        return exit_status.REFUTED
    outcomes = {verdict.outcome for verdict in verdicts}
    if outcomes <= {"holds"}:
        return exit_status.OK
    return exit_status.REFUTED if "refuted" in outcomes else exit_status.UNDECIDED


def _sureness(run: Run) -> str:
    """Say how sure the verdicts are together."""
    return terminal.sureness(
        run.result.verdicts,
        [
            verdict
            for declared, measured in run.judged
            for verdict in verdicts.judge_comparison(
                declared, measured, run.plan.looks, ALPHA / max(1, len(run.result.verdicts))
            )
        ],
    )


def take(events: Iterable[Event], rounds: int, run: Run, console: Console) -> None:
    """Save and print each comparison, also one that is cut short. rounds: at least, to come."""
    declared: Declared | None = None
    measured: list[Round] = []

    def save_and_print() -> None:
        """Once, whatever happens meanwhile."""
        nonlocal measured
        taken, measured = measured, []
        if declared and taken:
            _save_and_print(run, declared, taken, progress.console)

    with Progress(
        *(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} rounds")),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        bar = progress.add_task("", total=rounds)
        try:
            for event in events:
                match event:
                    case Started():
                        _note_start(event, run, console)
                    case Begins():
                        declared = event.declared
                        progress.update(bar, description=declared.comparison)
                    case Measured():
                        measured.append(event.round)
                        progress.advance(bar)
                        _note_missing(declared, event.round, progress.console)
                    case Failed():
                        run.complete = False
                        said = f"{event.comparison}: {event.text}"
                        print(f"{sys.argv[0]} compare: {said}", file=sys.stderr)
                    case Ends():
                        save_and_print()
        finally:
            save_and_print()


def _note_missing(declared: Declared | None, round_: Round, console: Console) -> None:
    """Say why a row is not measured, where no verdict says it."""
    if declared and not round_.samples and not declared.expectations:
        _print_lines([f"{round_.variant} is not measured: {'; '.join(round_.broken)}"], console)


def _note_start(started: Started, run: Run, console: Console) -> None:
    if run.pinned and started.shared:
        names = ", ".join(started.shared)
        console.print(f"--pin: {names}: started by another command, on its cores")
    if of_hosts := terminal.hosts(started.environment.get("hosts", ()), console.width):
        terminal.print_dim(of_hosts, console)
    if of_generators := terminal.load_generators(started.load_generator, console.width):
        terminal.print_dim(of_generators, console)
    run.result.environment = started.environment
    run.result.load_generator = started.load_generator
    run.result.calibration = started.calibration


def _save_and_print(run: Run, declared: Declared, measured: list[Round], console: Console) -> None:
    """Add a comparison to the result; it is printed also if it cannot be saved."""
    rows = measurements(declared, measured)
    judged = verdicts.judge_comparison(declared, measured, run.plan.looks)
    run.judged.append((declared, measured))
    remark = ""
    try:
        with signals.held():
            run.result.declared.append(declared.as_row())
            run.result.measurements += rows
            run.result.verdicts += judged
            run.result.finished = now()
            samples = [round_.as_row() for round_ in measured]
            remark = result_store.save(run.path, run.result, samples)
    finally:
        title = terminal.heading(declared)
        terminal.print_summary(title, rows, judged, console, run.every_reason)
    if remark:
        _print_lines([remark], console)
