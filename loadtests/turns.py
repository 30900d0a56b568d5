"""By hand with locust: the variants of a tag take turns, and a table at the end compares them.

All at once on one server, the pitfall would slow the others, and every row would look alike. The
shape runs where locust's own do: in the one process, or on the master. What workers must know (the
turn, the classes) comes to them as options do, with each order to spawn users.
"""

import argparse
import http.client
import logging
import math
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import gevent
import psutil
from locust import LoadTestShape, events
from locust.runners import STATE_MISSING, WORKER_REPORT_INTERVAL, MasterRunner, WorkerRunner

from comparisons.declarations import nearest
from comparisons.pairs import COMPARISONS
from loadtests.orders import LEFT
from project import exit_status
from project.deployments import DEPLOYMENTS
from project.middleware import HEADER

# Seconds
TURN, MAX_TURN = 15, 3600  # locust's page shows what it had in the last 10, every 5
GAP = 5  # without users, so that the page's lines show where a turn ends
LAST_ANSWER = 30  # for which users whose turn is over wait for it: so they leave no queue behind
STOPPING = 1  # likewise, where somebody ends the run
PATIENCE = 30  # until the bystander is answered, before a turn
PROBE = 2  # of a variant, before all turns

BYSTANDER = "/bystander/"
MAX_RATE = 100  # users that come in a second; of more, locust warns
WIDTH = 80
ROW = "{:24}{:>10}{:>10}{:>9}{:>8}{:>8}{:>11}"
HEADINGS = ("requests", "failures", "req/s", "p50 ms", "p99 ms", "bystander")

Tick = tuple[int, float, list[Any]]  # users, how many of them come or go in a second, their classes

log = logging.getLogger(__name__)
table_log = logging.getLogger("locust.stats_logger")  # where locust's own tables go
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # as locust's client


class RefusalError(Exception):
    """What cannot be run, in one line."""


@dataclass
class Turn:
    """The users of one variant, or, where they take no turns, of all."""

    name: str  # as in the statistics: `blocking-call/sync`; "" of all
    classes: list[Any]
    began: float = 0  # time.monotonic()
    seconds: float | None = None  # until its users had their last answer; None before


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    parser.add_argument(
        "--turn-seconds",
        type=turn_seconds,
        default=float(TURN),
        metavar="N",
        help=f"Seconds for which each variant of the --tags has the server to itself; {TURN} if "
        "you don't say. -u is the number of the variant's users (if you don't say, as many as its "
        "comparison declares); the bystander comes beside them",
    )
    parser.add_argument(
        "--all-at-once",
        action="store_true",
        include_in_web_ui=False,
        help="The variants take no turns: they share the server, and the users of -u",
    )


def turn_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 1 <= seconds <= MAX_TURN:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {MAX_TURN}")
    return seconds


def prepare(environment: Any, users: Mapping[tuple[str, str], Any], bystander: Any) -> None:
    """Choose the classes by tags or names, when locust has started.

    users: by (comparison, variant).
    """
    options = environment.parsed_options
    if options.class_picker:  # the page chooses
        environment.shape_class, environment.available_shape_classes = None, {}
        return
    environment.events.test_stopping.add_listener(_stop_soon)
    if isinstance(environment.runner, WorkerRunner):
        by_name = {cls.__name__: cls for cls in [*users.values(), bystander]}

        def take_the_masters(environment: Any, **_: Any) -> None:
            chosen = getattr(environment.parsed_options, "chosen", by_name)
            environment.user_classes[:] = [by_name[name] for name in chosen]

        environment.events.test_start.add_listener(take_the_masters)
        environment.user_classes[:] = by_name.values()
        return
    try:
        classes = chosen_classes(options, users)
        if options.num_users is not None and options.num_users < 1:
            raise RefusalError(f"-u {options.num_users}: it takes one user at least")
        if options.headless or options.autostart:
            server_at(environment.host)
    except RefusalError as refusal:
        print(f"locust: {refusal}", file=sys.stderr)
        for worker in psutil.Process().children() if options.processes else ():
            worker.terminate()  # it would look for its master for minutes
        sys.exit(exit_status.CANNOT_RUN)
    beside = bystander.__name__ in (options.user_classes or [bystander.__name__])
    environment.user_classes[:] = [*classes, *([bystander] if beside else [])]
    options.chosen = [cls.__name__ for cls in environment.user_classes]
    options.turn = ""
    # All are chosen: locust would look for the tags in each again, and warn of those without.
    options.tags = options.exclude_tags = None
    options.num_users = options.num_users or (declared_users(classes[0]) if classes else 1)
    options.spawn_rate = options.spawn_rate or min(options.num_users, MAX_RATE)
    environment.shape_class.prepare(environment, classes, [bystander] if beside else [])


def chosen_classes(options: Any, users: Mapping[tuple[str, str], Any]) -> list[Any]:
    """Return the variants' classes in reading order. RefusalError if none is chosen."""
    known = dict.fromkeys(tag for key in users for tag in key)
    wanted, unwanted = set(options.tags or ()), set(options.exclude_tags or ())
    named = set(options.user_classes or ())
    for tag in sorted((wanted | unwanted) - {*known}):
        raise RefusalError(f"nothing has the tag {tag!r}{nearest(tag, known)}")
    if not (wanted or named or options.all_at_once):
        raise RefusalError(
            f"which of the {len(COMPARISONS)} comparisons? for instance --tags blocking-call "
            "(manage.py compare --list shows all)"
        )
    chosen = [
        cls
        for key, cls in users.items()
        if (not named or cls.__name__ in named)
        and (not wanted or wanted & {*key})
        and not unwanted & {*key}
    ]
    if not chosen and not named:
        raise RefusalError("no variant has these tags")
    return chosen


def declared_users(cls: Any) -> int:
    return COMPARISONS[slug_of(cls)].cases[0][0]


def served_alike(classes: list[Any]) -> Iterator[str]:
    """Say of which comparisons one server cannot be all that the variants declare."""
    for slug in dict.fromkeys(map(slug_of, classes)):
        declared = [
            (v.deployment, v.workers, v.threads, v.database, v.environ)
            for v in (cls.variant for cls in classes if slug_of(cls) == slug)
        ]
        if any(other != declared[0] for other in declared):
            yield (
                f"served alike: the variants of {slug} declare servers that differ, "
                f"and here one serves all (manage.py compare {slug}: each its own)"
            )


def load_of(turn: Turn, users: int) -> str:
    """For instance `6 users`; an open loop has its rate in their place."""
    if rate := COMPARISONS[slug_of(turn.classes[0])].rate:
        return f"{rate:g} requests/s"
    return f"{users} users" if users > 1 else "1 user"


def slug_of(cls: Any) -> str:
    return str(cls.request_name).partition("/")[0]


def _stop_soon(environment: Any, **_: Any) -> None:
    """Keep nobody waiting who ends a run; nor, after its end, a worker who is to run again."""
    environment.stop_timeout = environment.parsed_options.stop_timeout or STOPPING


def bystander_name(environment: Any) -> str:
    """Return the name of the bystander's calls in the statistics; each turn's have their own."""
    turn = getattr(environment.parsed_options, "turn", "")
    return f"{turn} bystander" if turn else "bystander"


class Turns(LoadTestShape):
    """Each variant has its turn, and the server has time to answer before the next one's."""

    use_common_options = True  # -u, -r and -t

    def prepare(self, environment: Any, classes: list[Any], beside: list[Any]) -> None:
        self.environment, self.options = environment, environment.parsed_options
        self.classes, self.beside = classes, beside
        self.take_turns = not (self.options.all_at_once or self.options.user_classes)
        self.turns: list[Turn] = []  # that have begun
        self.notes: list[str] = []  # of who is left out, a line each
        self.cut = False  # somebody ended the last of them
        self.reported: set[str] = set()  # workers that said, since the turn's end, they have none
        if self.take_turns and environment.reset_stats:
            log.warning("without --reset-stats: it would empty the table of the turns")
            environment.reset_stats = False
        on = environment.events
        on.worker_report.add_listener(self._hear)
        on.test_stopping.add_listener(self._cut_off)
        # Without a page, as the last that is said.
        (on.quit if self.options.headless else on.test_stop).add_listener(self._report)

    def tick(self) -> Tick | None:
        if self.runner.shape_last_tick is None:  # a new run
            self._steps = self._run()
        try:
            return next(self._steps, None)
        except RefusalError as refusal:
            log.error(refusal)
            if self.options.headless:
                self.environment.process_exit_code = exit_status.CANNOT_RUN
            return None

    def _run(self) -> Iterator[Tick]:
        """Go through the turns. Between two of them locust does what the last tick says."""
        self.turns, self.notes, self.cut = [], [], False
        plan = self._plan()
        deadline = time.monotonic() + (self.options.run_time or math.inf)
        for number, turn in enumerate(plan, 1):
            users, rate = max(self.options.num_users, 1), self.options.spawn_rate
            rate = rate if 0 < rate < math.inf else users  # the page takes any number
            classes = [*turn.classes, *self.beside]
            fixed = sum(cls.fixed_count for cls in classes)
            count = fixed + (0 if all(cls.fixed_count for cls in classes) else users)
            lasts = math.inf
            if self.take_turns:
                lasts = self.options.turn_seconds + max(0, users / rate - 1)  # until all have come
                what = f"{turn.name}, {load_of(turn, users)} for {lasts:g} s"
                log.info(f"turn {number} of {len(plan)}: {what}")
            self.options.turn = turn.name
            self.environment.stop_timeout = self.options.stop_timeout or LAST_ANSWER
            turn.began = time.monotonic()
            self.turns.append(turn)
            yield count, rate + fixed, classes
            while time.monotonic() < min(turn.began + lasts, deadline):
                gevent.sleep(0.1)
            noting = gevent.spawn(self._note_end, turn)
            yield 0, rate + count, classes
            noting.join()
            if number == len(plan) or time.monotonic() >= deadline:
                self._await_reports()
                return
            if self.runner.spawning_greenlet:  # which the next tick would kill, done or not
                self.runner.spawning_greenlet.join()
            gevent.sleep(0 if self.options.headless else GAP)
            self._await_bystander()

    def _plan(self) -> list[Turn]:
        """Look at the server, and say in the log who has a turn. RefusalError if nobody has."""
        if getattr(self.runner, "worker_count", 1) == 0:
            raise RefusalError("no worker has connected yet")
        host = self.environment.host
        name, interface = server_at(host)
        reasons = {
            cls: "" if self.options.user_classes else self._why_left_out(cls, interface)
            for cls in self.classes
        }
        for why in filter(None, dict.fromkeys(reasons.values())):
            names = ", ".join(cls.request_name for cls in self.classes if reasons[cls] == why)
            self.notes.append(f"left out: {names}: {why}")
        staying = [cls for cls in self.classes if not reasons[cls]]
        if not self.options.user_classes:
            self.notes += served_alike(staying)
        for note in self.notes:
            log.warning(note)
        if not staying:
            raise RefusalError(f"nothing is left to ask the server at {host} for, which is {name}")
        if not self.take_turns:
            return [Turn("", staying)]
        plan = [Turn(cls.request_name, [cls]) for cls in staying]
        names = ", ".join(turn.name for turn in plan)
        each = f"{self.options.turn_seconds:g} s each, a bystander beside them"
        log.info(f"{name} at {host}, {each}: {names}")
        return plan

    def _why_left_out(self, cls: Any, interface: str) -> str:
        """Say what the variant needs that the server has not, and how it is served; or ""."""
        variant = cls.variant
        if variant.app:
            return "in place of Django (manage.py serve SLUG/VARIANT, each its own)"
        if not self.take_turns:
            return ""
        needed = DEPLOYMENTS[variant.deployment].interface
        if needed != interface:
            return f"needs {needed.upper()} (manage.py serve {variant.deployment})"
        name = cls.request_name
        with suppress(OSError):
            status, _, said = ask(self.environment.host, f"/{name}/", PROBE)
            if status == 501:
                return said.strip().removeprefix(f"{name} ").replace(name, "SLUG/VARIANT")
            if status == 404:
                return "this server has another variant only"
        return ""

    def _await_bystander(self) -> None:
        """Return when the server answers: it may have work of the last turn still."""
        deadline = time.monotonic() + PATIENCE
        while (left := deadline - time.monotonic()) > 0:
            with suppress(OSError):
                ask(self.environment.host, BYSTANDER, left)
                return
            gevent.sleep(0.1)
        raise RefusalError(f"the bystander was not answered for {PATIENCE} s: no more turns")

    def _note_end(self, turn: Turn) -> None:
        """Note when the last of its users has gone."""
        while self.runner.user_count:
            gevent.sleep(0.02)
        turn.seconds = time.monotonic() - turn.began

    def _cut_off(self, **_: Any) -> None:
        """Note the end of a turn that somebody ends."""
        for turn in self.turns:
            if turn.seconds is None:
                self.cut, turn.seconds = True, time.monotonic() - turn.began

    def _hear(self, client_id: str, data: Any) -> None:
        if data["user_count"] == 0:
            self.reported.add(client_id)

    def _await_reports(self) -> None:
        """Return when each worker has reported all that its users were answered in their turn."""
        if isinstance(self.runner, MasterRunner):
            self.reported.clear()
            deadline = time.monotonic() + 3 * WORKER_REPORT_INTERVAL
            while time.monotonic() < deadline and not self.reported >= {
                worker.id for worker in self.runner.clients.all if worker.state != STATE_MISSING
            }:
                gevent.sleep(0.05)

    def _report(self, **_: Any) -> None:
        """Log the table, if anybody had a turn."""
        if self.cut and isinstance(self.runner, MasterRunner) and not self.options.headless:
            gevent.sleep(WORKER_REPORT_INTERVAL)  # what workers have counted is on its way
        for line in table(self.turns, self.runner.stats) if self.turns else ():
            table_log.info(line)
        for line in self.notes if self.turns else ():
            table_log.info(textwrap.fill(line, WIDTH, break_on_hyphens=False))


def ask(host: str, path: str, timeout: float) -> tuple[int, str, str]:
    """Return what the server answers: status, X-Deployment, body. OSError if it does not."""
    try:
        with direct.open(host.rstrip("/") + path, timeout=timeout) as answer:
            return answer.status, answer.headers.get(HEADER, ""), answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get(HEADER, ""), error.read().decode()
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


def server_at(host: str | None) -> tuple[str, str]:
    """Return the name and the interface of the deployment there. RefusalError if it is none."""
    if not host:
        raise RefusalError("which server? for instance --host http://127.0.0.1:8000")
    try:
        status, who, _ = ask(host, BYSTANDER, PATIENCE)
    except OSError as error:
        why = getattr(error, "reason", error)
        raise RefusalError(f"no server answers at {host}: {why} (manage.py serve NAME)") from error
    name = who.partition(" ")[0]
    if name == "none":  # of `manage.py runserver`
        name = "runserver"
    if status != 200 or name not in DEPLOYMENTS:
        said = f"status {status}, {HEADER} {name!r}"
        raise RefusalError(f"what answers at {host} is no server of this project's ({said})")
    return name, DEPLOYMENTS[name].interface


def table(turns: list[Turn], stats: Any) -> Iterator[str]:
    """Compare the variants that had a turn, a line each, from locust's own statistics."""
    entries = {name: entry for (name, _), entry in stats.entries.items()}
    slug = ""
    rows = [(turn, cls) for turn in turns for cls in turn.classes]
    for turn, cls in rows:
        if slug != slug_of(cls):
            slug = slug_of(cls)
            yield from ("", ROW.format(slug, *HEADINGS), "-" * WIDTH)
        name = cls.request_name
        answers, bystander = entries.get(name), entries.get(f"{turn.name} bystander".strip())
        requests = answers.num_requests if answers else 0
        failures = answers.num_failures if answers else 0
        yield ROW.format(
            name.partition("/")[2][:23],
            requests,
            failures,
            f"{(requests - failures) / (turn.seconds or 1):.1f}",
            percentile(answers, 0.5),
            percentile(answers, 0.99),
            percentile(bystander, 0.5),
        )
        if left := entries.get(f"{name} ({LEFT})"):
            yield f"  and {left.num_requests} that their clients left, as declared"
    yield ""
    if pitfalls := ", ".join(cls.request_name for _, cls in rows if cls.variant.pitfall):
        yield from textwrap.wrap(f"pitfalls: {pitfalls}", WIDTH)
    yield "req/s: without failures; p50 and p99: with them; bystander: its median, in ms"


def percentile(entry: Any, share: float) -> str:
    """Return it in ms; "-" where nothing was answered."""
    if not entry or not entry.num_requests:
        return "-"
    return f"{entry.get_response_time_percentile(share):.0f}"
