"""Measures a comparison: every variant on a server of its own, in interleaved rounds.

A server of its own, so that neither the memory nor the queue that one variant leaves behind shows
in another's round; all of them up for the whole comparison, each idle but in its own rounds.
"""

import json
import os
import select
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import psycopg

from comparisons import resources
from comparisons.pairs import COMPARISONS
from comparisons.registry import Comparison, Variant, ceiling
from loadtests import rounds, schedule, servers
from loadtests.backends import Backends
from loadtests.rounds import Round, Sample
from project import pgbouncer, services
from project.deployments import CORES, UVICORN, Deployment
from project.distance import at_distance
from project.processes import dying_with_parent

CALIBRATION = 0.5  # seconds
CGROUP_CPU = Path("/sys/fs/cgroup/cpu.stat")  # version 2, as a container sees its own
SAMPLING = 0.1  # seconds between two looks at what a server uses


@dataclass(frozen=True)
class Row:
    """What gets rounds: a variant on a deployment, in one case of load and distance."""

    variant: Variant
    deployment: Deployment
    users: int
    round_trip: float = 0  # ms
    route: str = ""  # the variant's name in its URL
    rate: float | None = None  # requests/s, for an open loop

    @property
    def key(self) -> tuple[str, int, float]:
        return self.variant.name, self.users, self.round_trip


@dataclass(frozen=True)
class Generator:
    """The locust process. capacity: requests/s against a trivial server, at the start."""

    process: subprocess.Popen[str]
    capacity: float | None = None


@contextmanager
def load_generator() -> Iterator[Generator]:
    """It has a session of its own, so that Ctrl-C reaches `compare` alone."""
    process = subprocess.Popen(
        dying_with_parent([sys.executable, "-m", "loadtests.generator"]),
        cwd=servers.BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        generator = Generator(process)
        yield replace(generator, capacity=_capacity(generator))
    finally:
        process.kill()
        process.communicate()


def _capacity(generator: Generator) -> float:
    """What the generator can send and check, with a server that does nothing: requests/s."""
    trivial = Deployment(
        name="trivial",
        about="uvicorn, an app that does nothing",
        interface="asgi",
        command=(*UVICORN[:-1], "loadtests.trivial:app"),
    )
    with servers.serving([trivial]) as (server,):
        slug, comparison = next(iter(COMPARISONS.items()))
        row = Row(comparison.variants[0], trivial, users=10, route=comparison.variants[0].name)
        return throughput_of(generator, slug, row, server, CALIBRATION)


def throughput_of(
    generator: Generator, slug: str, row: Row, server: servers.Running, window: float
) -> float:
    """Answers a second in one window, and nothing else."""
    _order(generator, slug, row, server, window)
    result = _expect(generator, "round")
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
) -> None:
    """Gives each round to `keep` as it ends, until at one of the plan's looks all is decided.

    After a look only those rows (variant, users, round trip) are measured on that are `in_doubt`.

    A round from which somebody else took too much is measured again, as part of the same block,
    as long as REPEATS lasts.

    Raises ServerError if a server does not start, ServiceError if a service goes away.
    """
    rows, absent = _installed(rows)
    for row in absent:
        keep(_not_measured(comparison, row, pgbouncer.why_missing()))
    addresses = {s.variable: os.environ[s.variable] for s in services.SERVICES}
    with ExitStack() as stack:
        seen = {
            ms: stack.enter_context(at_distance(ms, addresses))
            for ms in sorted({row.round_trip for row in rows})
        }
        environs = [
            os.environ
            | seen[row.round_trip]
            | {name: text.replace("{row}", str(n)) for name, text in row.variant.environ.items()}
            for n, row in enumerate(rows)
        ]
        backends = stack.enter_context(closing(Backends(os.environ["DATABASE_URL"])))
        deployments = [row.deployment for row in rows]
        running = stack.enter_context(servers.serving(deployments, environs))
        idle = [servers.usage(server).memory_mb for server in running]
        _warm_up(comparison.slug, rows, running)
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
                    *(comparison, rows[index], number, plan.window, work),
                    *(server, idle[index], generator, backends),
                )
                keep(round_)
                backends.wait_for_it()
                services.check()
                if server.death():
                    servers.restart(running, index, environs[index])
                if rounds.disturbed(round_) and repeats:
                    repeats -= 1
                    queue.append(index)
            if number in plan.looks:
                doubts = in_doubt()
                wanted = [index for index, row in enumerate(rows) if row.key in doubts]


def _warm_up(slug: str, rows: list[Row], running: list[servers.Running]) -> None:
    """The first calls of a server import, connect and fill caches: these do not count.

    All servers at once. Whether they answer rightly, and at all, is for the rounds to say.
    """

    def call(row: Row, server: servers.Running) -> None:
        for _ in range(schedule.WARMING):
            with suppress(OSError):
                urllib.request.urlopen(f"{server.url}/{slug}/{row.route}/", timeout=10).close()

    with ThreadPoolExecutor(max(1, len(rows))) as threads:
        list(threads.map(call, rows, running))


def _installed(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Those that can be measured here, and those that need a program that is not installed."""
    if not pgbouncer.why_missing():
        return rows, []
    absent = [row for row in rows if row.deployment.database == "pgbouncer"]
    return [row for row in rows if row not in absent], absent


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
    window: float,
    work: float | None,
    server: servers.Running,
    idle_mb: float,
    generator: Generator,
    backends: Backends,
) -> Round:
    broken = []
    connections = [0]

    def count_connections() -> None:
        try:
            connections.append(backends.count(server.name))
        except psycopg.OperationalError:
            broken.append("PostgreSQL was away")

    asked = _pools(row, server)
    _order(generator, comparison.slug, row, server, window)
    _expect(generator, "open")
    sampler = time.process_time()
    before, cpu_before = servers.usage(server), psutil.cpu_times()
    throttled = _throttled()
    seen = [before]
    assert generator.process.stdout
    while not select.select([generator.process.stdout], [], [], SAMPLING)[0]:
        seen.append(servers.usage(server))
        count_connections()
    _expect(generator, "close")
    after, cpu_after = servers.usage(server), psutil.cpu_times()
    throttled = _throttled() - throttled
    seen.append(after)
    count_connections()
    sampler = time.process_time() - sampler
    result = _expect(generator, "round")
    if death := server.death():
        broken.append(death)
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
            processes=max(use.processes for use in seen),
            threads=max(use.threads for use in seen),
            cpu_seconds=max(0.0, after.cpu_seconds - before.cpu_seconds),
            rss_mb=max(use.memory_mb for use in seen),
            idle_mb=idle_mb,
            db_connections=max(connections),
            **_pool_use(asked, answered),
        ),
        generator_cpu=result["cpu"],
        steal=_steal(cpu_before, cpu_after),
        throttled=throttled / (result["closed"] - result["opened"]),
        ceiling=ceiling(
            row.variant,
            row.deployment.interface,
            users=row.users,
            processes=row.deployment.workers,
            threads=row.deployment.threads,
            cores=CORES,
            work=work,
        ),
        wait=row.variant.wait,
        work=work,
        may_fail=row.variant.may_fail,
        rate=row.rate,
        send_delay=result["send_delay"],
        generator_capacity=generator.capacity,
        sampler_cpu=sampler / (result["closed"] - result["opened"]),
        broken=list(dict.fromkeys(broken)),
    )


def _order(
    generator: Generator, slug: str, row: Row, server: servers.Running, window: float
) -> None:
    assert generator.process.stdin
    order = {
        "comparison": slug,
        "variant": row.route,
        "rate": row.rate,
        "host": server.url,
        "server": server.name,
        "users": row.users,
        "window": window,
    }
    try:
        generator.process.stdin.write(json.dumps(order) + "\n")
        generator.process.stdin.flush()
    except BrokenPipeError:
        raise servers.ServerError("the load generator died") from None


def _expect(generator: Generator, event: str) -> dict[str, Any]:
    """The next event of that name. ServerError if the generator dies first."""
    assert generator.process.stdout
    while line := generator.process.stdout.readline():
        message: dict[str, Any] = json.loads(line)
        if message["event"] == event:
            return message
    raise servers.ServerError("the load generator died")


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
    with suppress(OSError), urllib.request.urlopen(f"{server.url}/pools/", timeout=5) as response:
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
