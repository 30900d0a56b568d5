"""Measures a comparison: every variant on a server of its own, in interleaved rounds.

A server of its own, so that neither the memory nor the queue that one variant leaves behind shows
in another's round; all of them up for the whole comparison, each idle but in its own rounds.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import psutil
import psycopg

from comparisons import resources
from comparisons.pairs import COMPARISONS
from comparisons.registry import Comparison, Variant, ceiling
from loadtests.judging import rounds
from loadtests.judging.rounds import Round, Sample
from loadtests.orders import CORE, Generator, Lines
from loadtests.running import schedule, servers
from loadtests.running.backends import Backends
from project import services, signals
from project.deployments import CORES, UVICORN, Deployment
from project.environment import child_environ
from project.processes import BASE_DIR, dying_with_parent
from project.services import distance, pgbouncer

OTHER_FILES = 200  # than its users' connections that a server, or the load generator, opens
CALIBRATION = 0.5  # seconds
CGROUP_CPU = Path("/sys/fs/cgroup/cpu.stat")  # version 2, as a container sees its own
WAITING_WINDOW = 0.2  # seconds: while all requests wait, nothing changes
WARM_UP_TIMEOUT = 30  # seconds, of one call
MAX_BODY_MB = 100
SAMPLING = 0.1  # seconds between two looks at what a server uses

TRIVIAL = Deployment(
    name="trivial",
    about="uvicorn, an app that does nothing",
    interface="asgi",
    command=(*UVICORN[:-1], "loadtests.running.trivial:app"),
)


@dataclass(frozen=True)
class Row:
    """What gets rounds: a variant on a deployment, in one case of load and distance."""

    variant: Variant
    deployment: Deployment
    users: int
    round_trip: float = 0  # ms
    route: str = ""  # the variant's name in its URL
    rate: float | None = None  # requests/s, for an open loop
    waiting: float | None = None  # seconds that every user's one request waits

    @property
    def key(self) -> tuple[str, int, float]:
        return self.variant.name, self.users, self.round_trip


class ViewError(Exception):
    """A variant whose first answers show that it can't be measured. str() is one line.

    problem: without where the log is.
    """

    def __init__(self, variant: str, problem: str, log: str = "") -> None:
        super().__init__(f"{variant} {problem}{log}")
        self.variant = variant
        self.problem = problem


class Looks:
    """What a server uses, looked at when the window opens, every SAMPLING seconds, and at its end.

    late: seconds, the longest for which this process did not look though it should have.
    silence: seconds, the longest for which PostgreSQL did not tell the server's connections.
    """

    def __init__(self, server: servers.Running, backends: Backends, opened: float) -> None:
        self.late = time.time() - opened
        self.silence = 0.0
        self.used = [servers.usage(server)]
        self.connections = 0
        self.broken: list[str] = []
        self._server, self._backends = server, backends
        self._looked = time.monotonic()

    def look(self) -> None:
        self.used.append(servers.usage(self._server))
        silence = 0.0
        try:
            connections, silence = self._backends.count(self._server.name)
            self.connections = max(self.connections, connections)
        except psycopg.OperationalError:
            self.broken = ["PostgreSQL was away"]
        now = time.monotonic()
        self.late = max(self.late, now - self._looked - SAMPLING - silence)
        self.silence = max(self.silence, silence)
        self._looked = now

    def end(self, closed: float) -> None:
        self.late = max(self.late, time.time() - closed)
        self.look()


def leave_last_core() -> None:
    """Start this command afresh on all its cores but the last, which is then the generator's.

    Whatever it starts and counts (CORES) has these cores. ValueError if that cannot be.
    """
    if CORE in os.environ:
        return
    if not hasattr(os, "sched_setaffinity"):
        raise ValueError("this system pins no process to a core")
    *others, last = sorted(os.sched_getaffinity(0))
    if not others:
        raise ValueError("there is one core only")
    os.sched_setaffinity(0, others)
    os.environ[CORE] = str(last)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


@contextmanager
def load_generator() -> Iterator[Generator]:
    """It has a session of its own, so that Ctrl-C reaches `compare` alone."""
    with servers.temporary_folder() as folder:
        log = Path(folder, "log")
        with open(log, "wb") as output:
            process = subprocess.Popen(
                dying_with_parent([sys.executable, "-m", "loadtests.generator"]),
                cwd=BASE_DIR,
                env=child_environ(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
            )
        assert process.stdout
        try:
            generator = Generator(process, Lines(process.stdout), log)
            yield replace(generator, capacity=_capacity(generator))
        finally:
            with signals.held():
                process.kill()
                process.communicate()


def _capacity(generator: Generator) -> float:
    """What the generator can send and check, with a server that does nothing: requests/s."""
    with servers.serving([TRIVIAL]) as (server,):
        slug, comparison = next(iter(COMPARISONS.items()))
        row = Row(comparison.variants[0], TRIVIAL, users=10, route=comparison.variants[0].name)
        return throughput_of(generator, slug, row, server, CALIBRATION)


def throughput_of(
    generator: Generator, slug: str, row: Row, server: servers.Running, window: float
) -> float:
    """Answers a second in one window, and nothing else; in another if that was disturbed."""
    for _ in range(1 + schedule.REPEATS):
        _order(generator, slug, row, server, schedule.Plan(window, looks=()))
        result = generator.expect("round")
        if not rounds.stalled(result["stall"], result["clock_jump"]):
            break
    ends = [start + latency / 1000 for start, latency, *_ in result["samples"]]
    count = sum(result["opened"] <= end <= result["closed"] for end in ends)
    return float(count / (result["closed"] - result["opened"]))


def measure(
    comparison: Comparison,
    rows: list[Row],
    plan: schedule.Plan,
    seed: int,
    generator: Generator,
    in_doubt: Callable[[], Collection[tuple[str, int, float]]],
    keep: Callable[[Round], None],
    logs: Path | None = None,
) -> None:
    """Gives each round to `keep` as it ends, until at one of the plan's looks all is decided.

    After a look only those rows (variant, users, round trip) are measured on that are `in_doubt`.

    A round from which somebody else took too much is measured again, as part of the same block,
    as long as REPEATS lasts.

    Raises ServerError if a server does not start, ServiceError if a service goes away, ViewError if
    a variant does not answer as it should before it is measured. What the server of a variant that
    fails has said is kept in the folder `logs`, if there is one.
    """
    reasons = [_why_not(row) for row in rows]
    for row, why in zip(rows, reasons, strict=True):
        if why:
            keep(_not_measured(comparison, row, why))
    rows = [row for row, why in zip(rows, reasons, strict=True) if not why]
    with ExitStack() as stack:
        seen = {
            ms: stack.enter_context(distance.at_distance(ms, _addresses()))
            for ms in sorted({row.round_trip for row in rows})
        }
        environs = [
            seen[row.round_trip]
            | {name: text.replace("{row}", str(n)) for name, text in row.variant.environ.items()}
            for n, row in enumerate(rows)
        ]
        backends = stack.enter_context(closing(Backends(os.environ["DATABASE_URL"])))
        deployments = [row.deployment for row in rows]
        running = stack.enter_context(servers.serving(deployments, environs))
        idle = [servers.usage(server).memory_mb for server in running]
        try:
            _warm_up(comparison.slug, rows, running, logs)
        except ViewError as error:
            for row in rows:
                own = row.variant.name == error.variant
                reason = error.problem if own else f"not measured, for {error.variant} fails"
                keep(_not_measured(comparison, row, reason))
            raise
        work: float | None = None
        repeats = schedule.REPEATS * len(rows)
        wanted = list(range(len(rows)))
        for number in range(1, plan.looks[-1] + 1):
            queue = schedule.block(wanted, seed, number)
            while queue:
                index = queue.pop(0)
                server = running[index]
                work = _timed(comparison.work, work) if comparison.work else None
                round_ = _round(
                    comparison,
                    rows[index],
                    number,
                    plan,
                    work,
                    server,
                    idle[index],
                    generator,
                    backends,
                )
                if said := _why_failed(round_, rows[index], server, logs):
                    round_ = replace(round_, broken=[*round_.broken, said])
                keep(round_)
                backends.wait_for_it()
                services.check()
                if server.death():
                    restarted = servers.restart(running, index)
                    idle[index] = servers.usage(restarted).memory_mb
                    _warm_up(comparison.slug, [rows[index]], [restarted], logs)
                if rounds.disturbances(round_) and repeats:
                    repeats -= 1
                    queue.append(index)
            if number in plan.looks:
                doubts = in_doubt()
                wanted = [index for index, row in enumerate(rows) if row.key in doubts]


def _warm_up(
    slug: str, rows: list[Row], running: list[servers.Running], logs: Path | None = None
) -> None:
    """Make the first calls of each server: they import, connect, fill caches, and do not count.

    All servers at once. ViewError if one whose variant may not fail does not answer with 200, or if
    its body is not that of the others.
    """

    def call(row: Row, server: servers.Running) -> Answer:
        for _ in range(schedule.WARMING):
            answer = _answer(server, f"/{slug}/{row.route}/{'?seconds=0' if row.waiting else ''}")
            if answer.failure and not row.variant.may_fail:
                break
        return answer

    threads = ThreadPoolExecutor(max(1, len(rows)))
    try:
        answers = list(threads.map(call, rows, running))
    finally:
        threads.shutdown(wait=False)  # what interrupts us ends the servers, and so the calls
    for row, server, answer in zip(rows, running, answers, strict=True):
        if answer.failure and not row.variant.may_fail:
            log = _keep_log(slug, row, server, logs)
            raise ViewError(row.variant.name, answer.failure, log)
    bodies = Counter(answer.body for answer in answers if not answer.failure)
    agreed = bodies.most_common(1)[0][0] if bodies else b""
    for row, server, answer in zip(rows, running, answers, strict=True):
        if not answer.failure and answer.body != agreed:
            other = rows[answers.index(Answer(agreed))].variant.name
            ours, theirs = _around_the_difference(answer.body, agreed)
            log = _keep_log(slug, row, server, logs)
            raise ViewError(row.variant.name, f"answers with {ours}, {other} with {theirs}", log)


def _why_failed(round_: Round, row: Row, server: servers.Running, logs: Path | None) -> str:
    """The exception of a variant that fails under load only; nothing if it does not, or may."""
    if row.variant.may_fail or not rounds.failures(round_):
        return ""
    said = servers.last_exception(server.log)
    return said and said + _keep_log(round_.comparison, row, server, logs)


def _keep_log(slug: str, row: Row, server: servers.Running, folder: Path | None) -> str:
    """Copy what the server has said, if anything, into the folder. Return a remark about where."""
    if not folder or not server.log or not server.log.stat().st_size:
        return ""
    kept = folder / f"{slug}-{row.variant.name}.log"
    try:
        folder.mkdir(exist_ok=True)
        shutil.copyfile(server.log, kept)
    except OSError as error:
        return f" (its server's log can't be kept: {error.strerror})"
    return f" (its server's log: {kept})"


@dataclass(frozen=True)
class Answer:
    """What a call got. failure: what is wrong with it; nothing if the status is 200."""

    body: bytes = b""
    failure: str = ""


def _answer(server: servers.Running, path: str) -> Answer:
    deadline = time.monotonic() + WARM_UP_TIMEOUT
    body = bytearray()
    try:
        with closing(HTTPConnection("127.0.0.1", server.port, WARM_UP_TIMEOUT)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            while part := response.read1():
                body += part
                if len(body) > MAX_BODY_MB * 1_000_000:
                    return Answer(failure=f"answers with more than {MAX_BODY_MB} MB")
                if time.monotonic() > deadline:
                    raise TimeoutError
    except TimeoutError:
        return Answer(failure=f"has not answered after {WARM_UP_TIMEOUT} s")
    except (OSError, HTTPException) as error:
        return Answer(failure=server.death() or f"breaks the connection off ({error!r})")
    if response.status == 200:
        return Answer(bytes(body))
    said = servers.last_exception(server.log) or _cut(bytes(body))
    return Answer(bytes(body), f"answers with status {response.status}: {said}")


def _around_the_difference(ours: bytes, theirs: bytes) -> tuple[str, str]:
    """Both bodies, cut to what is near their first difference."""
    pairs = enumerate(zip(ours, theirs, strict=False))
    first = next((n for n, (a, b) in pairs if a != b), min(len(ours), len(theirs)))
    start = max(0, first - 20)
    return _cut(ours, start), _cut(theirs, start)


def _cut(body: bytes, start: int = 0) -> str:
    """The part that begins at `start`, on one line."""
    part = body[start : start + 60].decode(errors="replace")
    return ("…" if start else "") + repr(part) + ("…" if start + 60 < len(body) else "")


def _why_not(row: Row) -> str:
    """Why it can't be measured on this machine; nothing if it can."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most != resource.RLIM_INFINITY and most < row.users + OTHER_FILES:
        needed = row.users + OTHER_FILES
        return (
            f"{row.users} users need {needed} open files, one each and {OTHER_FILES} besides; "
            f"a process may have {most} here (ulimit -n)"
        )
    if row.deployment.database == "pgbouncer" and (why := pgbouncer.why_missing()):
        return why
    if row.round_trip and (why := distance.why_not(_addresses())):
        return why
    if role := row.variant.environ.get("DATABASE_ROLE"):
        return _why_no_login(role.replace("{row}", "0"))
    return ""


def _addresses() -> dict[str, str]:
    """Of the services, by environment variable."""
    return {service.variable: os.environ[service.variable] for service in services.SERVICES}


def _why_no_login(role: str) -> str:
    """Migration 0003 makes such roles, where DATABASE_URL's own may."""
    try:
        psycopg.connect(os.environ["DATABASE_URL"], user=role).close()
    except psycopg.OperationalError as error:
        return f"can't log in as {role}: {str(error).splitlines()[0]}"
    return ""


def _not_measured(comparison: Comparison, row: Row, reason: str) -> Round:
    """A round that says why there is none."""
    return Round(
        comparison=comparison.slug,
        variant=row.variant.name,
        deployment=row.deployment.name,
        workers=row.deployment.workers,
        worker_threads=row.deployment.threads,
        block=0,
        users=row.users,
        round_trip=row.round_trip,
        opened=0,
        closed=0,
        samples=[],
        bystander=[],
        server=rounds.Server(0, 0, 0, 0, 0, 0),
        generator_cpu=0,
        steal=0,
        ceiling=None,
        wait=row.variant.wait,
        work=None,
        broken=[reason],
    )


def _round(
    comparison: Comparison,
    row: Row,
    block: int,
    plan: schedule.Plan,
    work: float | None,
    server: servers.Running,
    idle_mb: float,
    generator: Generator,
    backends: Backends,
) -> Round:
    asked = _pools(row, server)
    most = ceiling(
        row.variant,
        row.deployment.interface,
        users=row.users,
        processes=row.deployment.workers,
        threads=row.deployment.threads,
        cores=CORES,
        work=work,
    )
    _order(generator, comparison.slug, row, server, plan, most)
    opened = generator.expect("open")
    looks = Looks(server, backends, opened["at"])
    sampler = time.process_time()
    cpu_before, throttled = psutil.cpu_times(), _throttled()
    closed = generator.expect("close", looks.look, SAMPLING)
    cpu_after, throttled = psutil.cpu_times(), _throttled() - throttled
    looks.end(closed["at"])
    sampler = time.process_time() - sampler
    result = generator.expect("round")
    death = server.death()
    answered = _pools(row, server)
    return Round(
        comparison=comparison.slug,
        variant=row.variant.name,
        deployment=row.deployment.name,
        workers=row.deployment.workers,
        worker_threads=row.deployment.threads,
        block=block,
        users=row.users,
        round_trip=row.round_trip,
        opened=result["opened"],
        closed=result["closed"],
        samples=[Sample(*sample) for sample in result["samples"]],
        bystander=[Sample(*sample) for sample in result["bystander"]],
        server=rounds.Server(
            processes=max(use.processes for use in looks.used),
            threads=max(use.threads for use in looks.used),
            cpu_seconds=max(0.0, looks.used[-1].cpu_seconds - looks.used[0].cpu_seconds),
            rss_mb=max(use.memory_mb for use in looks.used),
            idle_mb=idle_mb,
            db_connections=looks.connections,
            **_pool_use(asked, answered),
        ),
        generator_cpu=result["cpu"],
        steal=_steal(cpu_before, cpu_after),
        throttled=throttled / (result["closed"] - result["opened"]),
        ceiling=most,
        wait=row.waiting or row.variant.wait,
        waiting=row.waiting is not None,
        work=work,
        may_fail=row.variant.may_fail,
        rate=row.rate,
        send_delay=result["send_delay"],
        generator_capacity=generator.capacity,
        sampler_cpu=sampler / (result["closed"] - result["opened"]),
        generator_stall=result["stall"],
        compare_stall=looks.late,
        postgres_stall=looks.silence,
        clock_jump=result["clock_jump"],
        broken=[*looks.broken, *([death] if death else [])],
    )


def _order(
    generator: Generator,
    slug: str,
    row: Row,
    server: servers.Running,
    plan: schedule.Plan,
    most: float | None = None,
) -> None:
    """most: the ceiling, in requests/s."""
    generator.order(
        comparison=slug,
        variant=row.route,
        rate=row.rate,
        waiting=row.waiting,
        host=server.url,
        server=server.name,
        users=row.users,
        spread=row.users / most if most else None,
        window=min(plan.window, WAITING_WINDOW) if row.waiting else plan.window,
        fewest=plan.fewest,
    )


def _timed(work: Callable[[], Any], least: float | None) -> float:
    """CPU seconds of the work, the least so far: what is above it is disturbance."""

    def once() -> float:
        start = time.thread_time()
        work()
        return time.thread_time() - start

    return min(once(), once(), once() if least is None else least)


def _pools(row: Row, server: servers.Running) -> Mapping[str, int] | None:
    """What the pools of the server's one process have been asked for until now."""
    if row.deployment.workers > 1 or server.death():
        return None
    with suppress(OSError), servers.direct.open(f"{server.url}/pools/", timeout=5) as response:
        found: dict[str, int] = json.load(response)
        return found
    return None


def _pool_use(
    before: Mapping[str, int] | None, after: Mapping[str, int] | None
) -> dict[str, float | None]:
    """What was asked of the pools in between; nothing where there are none."""
    if before is None or after is None:
        return {}
    asked, queued, waited = (after[name] - before[name] for name in resources.POOL_COUNTERS)
    if not asked:
        return {}
    return {"pool_queued": queued / asked, "pool_wait_ms": waited / asked}


def _steal(before: Any, after: Any) -> float:
    """The share of all CPU time that the hypervisor gave to others; 0 where it does not tell."""
    total = sum(after) - sum(before)
    return float((getattr(after, "steal", 0) - getattr(before, "steal", 0)) / total) if total else 0


def _throttled(stat: Path = CGROUP_CPU) -> float:
    """Seconds for which a container's quota has held its processes back; 0 where there is none."""
    with suppress(OSError):
        for line in stat.read_text().splitlines():
            name, _, microseconds = line.partition(" ")
            if name == "throttled_usec":
                return int(microseconds) / 1e6
    return 0
