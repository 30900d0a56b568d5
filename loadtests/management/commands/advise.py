"""`manage.py advise`: how to serve views of the reader's own project, measured."""

import argparse
import random
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from comparisons import result_store
from comparisons.advice import NOW, Advice, Candidate, Profile
from comparisons.advice_sentences import holds, recommended
from comparisons.changes import changes
from comparisons.confidence import ALPHA
from comparisons.registry import MAX_RATE, MAX_USERS
from comparisons.result import Result, now, timestamp
from comparisons.result_store import SaveError
from loadtests.advising import choosing, run
from loadtests.advising.candidates import Load
from loadtests.advising.deployments import parse_now
from loadtests.advising.screen import print_advice, print_candidates, print_plan
from loadtests.advising.subject import find_subject
from loadtests.arguments import bad, read_before, reserve, within
from loadtests.asks import LOCUSTFILE_HELP, METHODS, REQUESTS_HELP, URL_HELP, AskError, asks_of
from loadtests.judging import verdicts
from loadtests.judging.declared import Declared
from loadtests.judging.measurements import measurements
from loadtests.judging.rounds import Round
from loadtests.reporting.changed import print_against
from loadtests.running import schedule
from loadtests.running.environment import environment
from loadtests.running.generators import Generator, load_generators, users_of
from loadtests.running.warming import ViewError
from project import exit_status, limits, signals
from project.errors import FatalError
from project.output import OutputError

USERS = 20  # at once, where nothing is said
LOOKS = schedule.Plan(window=0.5, looks=(4, 8, 12), min_answers=5)
QUICK = schedule.Plan(window=0.25, looks=(4,), min_answers=3)


@dataclass
class Run:
    """What a run has found so far, and the file that keeps it."""

    path: Path
    result: Result
    advice: Advice
    rounds: list[Round] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        return bool(self.advice.choices)


class Command(BaseCommand):
    help = (
        "Says how to serve views of your own project: what their requests are made of, which"
        " deployments are worth trying, and which is best, measured on this machine."
    )
    requires_system_checks: list[str] = []  # it is a client of servers that are not ours

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        of_project = parser.add_argument_group("your project, which is not changed")
        of_project.add_argument(
            "--project", type=Path, required=True, metavar="DIR", help="the folder of its manage.py"
        )
        of_project.add_argument(
            "--project-settings",
            metavar="MODULE",
            help="its settings, if not what its manage.py says (--settings is the same here)",
        )
        of_project.add_argument(
            "--python", type=Path, metavar="PROGRAM", help="that runs it, if not its .venv's"
        )
        of_project.add_argument(
            "--env",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="a variable of its environment, besides those of this terminal",
        )
        of_project.add_argument(
            "--now", metavar="COMMAND", help="what serves it today: 'gunicorn shop.wsgi -w 4'"
        )
        of_load = parser.add_argument_group("what is sent, and nothing else is")
        of_load.add_argument("--url", action="append", default=[], metavar="URL", help=URL_HELP)
        of_load.add_argument("--method", default="GET", choices=METHODS, help="of all --url")
        of_load.add_argument("--header", action="append", default=[], metavar="'NAME: VALUE'")
        of_load.add_argument("--cookie", action="append", default=[], metavar="NAME=VALUE")
        of_load.add_argument("--body", metavar="TEXT|@FILE")
        of_load.add_argument("--requests", type=Path, metavar="FILE", help=REQUESTS_HELP)
        of_load.add_argument("--locustfile", type=Path, metavar="FILE", help=LOCUSTFILE_HELP)
        of_load.add_argument(
            "--users",
            type=within(int, 1, MAX_USERS),
            metavar="N",
            help=f"at once, each asks again when answered; {USERS} if you don't say",
        )
        of_load.add_argument(
            "--rate",
            type=within(float, 0.1, MAX_RATE),
            metavar="R",
            help="requests a second, answered or not, in place of users",
        )
        parser.add_argument("--quick", action="store_true", help="fewer, shorter rounds, no sweep")
        parser.add_argument(
            "--check",
            action="store_true",
            help="exit with 1 if the loop is held, or if --now (without it, a candidate) serves "
            "less than in --against; with 3 if nothing was decided",
        )
        parser.add_argument(
            "--against",
            type=Path,
            metavar="FILE",
            help="at the end, what changed since that result: changed, same, or can't tell",
        )
        parser.add_argument("--output", type=Path, metavar="FILE", help="the result file")
        parser.add_argument("--seed", type=int, metavar="N", help="of the order of the rounds")

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(markup=False)
        if not console.is_terminal:
            console.width = 80
        before = read_before(options["against"]) if options["against"] else None
        if before and before.advice is None:
            raise bad(f"--against: {options['against']} is no result of advise")
        sys.exit(_advise(_wish(options), before, options, console))


def _wish(options: Mapping[str, Any]) -> run.Wish:
    """Read the arguments and ask the project. CommandError if anything is wrong."""
    if options["users"] and options["rate"]:
        raise bad("--users and --rate are two kinds of load: give one of them")
    requested = ("url", "requests")
    if options["locustfile"]:
        if any(options[name] for name in (*requested, "body", "header", "cookie", "rate")):
            raise bad("--locustfile says what is sent, and how: it takes --users beside it only")
    elif not any(options[name] for name in requested):
        raise bad("say what to ask for: --url /path/, --requests FILE or --locustfile FILE")
    try:
        asks = (
            []
            if options["locustfile"]
            else asks_of(
                options["url"],
                options["method"],
                options["header"],
                options["cookie"],
                options["body"],
                options["requests"],
            )
        )
    except AskError as error:
        raise bad(str(error)) from None
    given = {}
    for word in options["env"]:
        if not re.match(r"[A-Za-z_]\w*=", word):
            raise bad(f"--env: {word!r} is not NAME=VALUE")
        name, _, value = word.partition("=")
        given[name] = value
    subject = find_subject(
        options["project"], options["project_settings"], options["python"], given
    )
    return run.Wish(
        subject=subject,
        asks=asks,
        load=Load(options["users"] or (1 if options["rate"] else USERS), options["rate"]),
        now=parse_now(options["now"], subject) if options["now"] else None,
        locustfile=options["locustfile"],
    )


def _advise(
    wish: run.Wish, before: Result | None, options: Mapping[str, Any], console: Console
) -> int:
    plan = QUICK if options["quick"] else LOOKS
    seed = random.randrange(2**32) if options["seed"] is None else options["seed"]
    path = options["output"] or settings.RESULTS_DIR / f"{timestamp(now()).replace(':', '-')}.json"
    result = Result(
        started=now(),
        environment=environment(""),
        options={"advise": True, "quick": options["quick"]},
        seed=seed,
        plan={"window": plan.window, "looks": plan.looks, "alpha": ALPHA},
    )
    going = Run(path, result, wish.advice())
    print_plan(going.advice, console)
    status = exit_status.OK
    stopped: signals.Stopped | None = None
    is_worse, held = False, set[str]()
    reserve(path)
    try:
        with limits.named():
            if wish.locustfile:
                users_of(wish.locustfile)
            _go(going, wish, plan, seed, options["quick"], console)
    except signals.Stopped as signal:
        stopped, status = signal, signal.status
    except (FatalError, SaveError, ViewError) as error:
        status = exit_status.CANNOT_RUN
        print(f"{sys.argv[0]} advise: {error}", file=sys.stderr)
    except OutputError as error:
        status = error.status
        print(f"{sys.argv[0]} advise: {error}", file=sys.stderr)
    with signals.held():
        result_store.release(path)
        try:
            if stopped:
                print(stopped)
            if path.exists():
                print(f"\nresult: {path}", flush=True)
            if before and result.measurements:
                found = changes(before, result)
                files = str(options["against"]), str(path)
                is_worse = print_against(found, *files, console, options["check"])
            held = {f"{line.place}: {line.code}" for line in holds(going.advice.profiles)}
            for place in sorted(held) if options["check"] else ():
                console.print(f"✗ Holds the event loop: {place}", soft_wrap=True, highlight=False)
        except OutputError as error:
            status = status or error.status
    if status or not options["check"]:
        return status
    if is_worse or held:
        return exit_status.REFUTED
    return exit_status.OK if going.advice.choices else exit_status.UNDECIDED


def _go(
    going: Run, wish: run.Wish, plan: schedule.Plan, seed: int, quick: bool, console: Console
) -> None:
    """Look, think, measure, sweep and answer; what was measured is kept, however it ends."""
    with progress(console) as bar:
        if wish.asks:
            found = run.look(wish, bar.says)
            going.advice = replace(going.advice, profiles=tuple(found))
        candidates, served = run.candidates_for(wish, going.advice.profiles)
        bar.prints(lambda to: print_candidates(candidates, to))
        comparison, rows = run.comparison_and_rows(wish, candidates, served)
        plan = run.long_enough(plan, going.advice.profiles)
        going.result.plan["window"] = plan.window
        declared = Declared.of(comparison)
        going.advice = replace(going.advice, candidates=tuple(candidates))
        bar.says("starting the load generators")
        with load_generators() as generators:
            going.result.load_generator = generators[0].as_row()
            bar.says("measuring", total=plan.looks[0] * len(rows))

            def in_doubt(measured: Sequence[Round]) -> Any:
                names = choosing.in_doubt([one.name for one in candidates], measured)
                return {row.key for row in rows if row.route in names}

            logs = result_store.logs_path(going.path)
            measured = run.rounds_of(wish, comparison, rows, plan, seed, generators, in_doubt, logs)
            try:
                for round_ in measured:
                    going.rounds.append(round_)
                    bar.advances()
                going.advice = run.answered(going.advice, wish, going.rounds, candidates)
                if not quick:
                    going.advice = _swept(going.advice, wish, comparison, rows, generators[0], bar)
            finally:
                measured.close()
                if going.rounds:
                    _save(going, wish, declared, plan, candidates)
    print_advice(going.advice, going.result.measurements, console)
    for row in going.result.measurements:
        if not row.valid:
            why = "; ".join(row.invalid_because)
            console.print(f"{row.variant}: {why}", soft_wrap=True, highlight=False)


def _swept(
    advice: Advice,
    wish: run.Wish,
    comparison: Any,
    rows: Any,
    generator: Generator,
    bar: "Bar",
) -> Advice:
    """Sweep what is recommended, and what runs now."""
    chosen = recommended(advice)
    wanted = [one for one in advice.candidates if one is chosen or one.name == NOW]
    for candidate in wanted:
        bar.says(f"more and more users at {candidate.name}")
        profiles: Sequence[Profile] = advice.profiles
        one = run.swept(wish, comparison, rows, candidate, profiles, generator, bar.advances)
        advice = replace(advice, sweeps=(*advice.sweeps, one))
    return advice


def _save(
    going: Run,
    wish: run.Wish,
    declared: Declared,
    plan: schedule.Plan,
    candidates: Sequence[Candidate],
) -> None:
    """Write the result; of a run that was cut short, what was measured until then."""
    if not going.is_complete:
        going.advice = run.answered(going.advice, wish, going.rounds, candidates)
    result = going.result
    result.declared = [declared.as_row()]
    result.measurements = measurements(declared, going.rounds)
    result.verdicts = verdicts.judge_comparison(declared, going.rounds, plan.looks)
    result.advice = going.advice
    result.finished = now()
    with signals.held():
        result_store.save(going.path, result, [round_.as_row() for round_ in going.rounds])


# --- What is shown meanwhile


@dataclass
class Bar:
    progress: Progress
    task: Any

    def says(self, text: str, total: int | None = None) -> None:
        self.progress.update(self.task, description=text, total=total, completed=0)

    def advances(self) -> None:
        self.progress.advance(self.task)

    def prints(self, what: Any) -> None:
        what(self.progress.console)


@contextmanager
def progress(console: Console) -> Iterator[Bar]:
    with Progress(
        *(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as shown:
        yield Bar(shown, shown.add_task("", total=None))
