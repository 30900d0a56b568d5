"""Measures a comparison: every variant on a server of its own, in interleaved rounds.

A server of its own, so that neither the memory nor the queue that one variant leaves behind shows
in another's round; all of them up for the whole comparison, each idle but in its own rounds.
"""

import os
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from comparisons.cores import CORES
from comparisons.registry import Comparison, Metric, ceiling
from comparisons.result import Hold
from loadtests.judging import rounds, validity
from loadtests.judging.rounds import Round, Sample
from loadtests.orders import Order
from loadtests.running import sampling, schedule, servers
from loadtests.running.backends import Backends
from loadtests.running.calibration import bystander_cpu_ms
from loadtests.running.generators import Generator as LoadGenerator
from loadtests.running.holding import holds
from loadtests.running.host import Host
from loadtests.running.rows import Row, addresses, why_unmeasurable
from loadtests.running.sockets import Address, Sockets
from loadtests.running.warming import ViewError, warm_up, why_failed
from project import services
from project.ports import LOOPBACK
from project.services import distance

OPEN_LOOP_WINDOW_S = 1.0  # at least: a backlog takes time to be seen to grow
ANY_NUMBER = 10**9  # of users: an open loop has as many requests under way as come
MAX_SPREAD_S = 0.1  # of users of whose requests nothing is declared
BYSTANDER_BATCHES = 2  # of calls, for what one costs
WAITING_WINDOW_S = 0.2  # while all requests wait, nothing changes

# Of the rounds so far, the rows (by their key) that an expectation without a verdict speaks of.
InDoubt = Callable[[Sequence[Round]], Collection[tuple[str, int, float]]]


@dataclass(frozen=True)
class Measurement:
    """What all rounds of a comparison share."""

    comparison: Comparison
    plan: schedule.Plan
    generators: Sequence[LoadGenerator]
    # Sockets, where the project is not ours; None, where somebody else serves it.
    backends: Backends | Sockets | None
    logs: Path | None  # the folder for what the servers of failing variants have said


@dataclass
class Served:
    """A row and the server that is its own, one of those that run; `_restart` replaces it.

    Or the Host that serves all rows, where that is somebody else's.
    """

    row: Row
    running: list[Any]
    index: int
    idle_mb: float
    start: int  # which start of the row's server it is: the first, the second, ...
    bystander_cpu_ms: float = 0
    alone: float | None = None  # seconds that a lone request took
    held: list[Hold] | None = None  # what held its event loop; None where nobody looked

    @property
    def server(self) -> Any:
        return self.running[self.index]


def measure(
    comparison: Comparison,
    rows: Sequence[Row],
    plan: schedule.Plan,
    seed: int,
    generators: Sequence[LoadGenerator],
    in_doubt: InDoubt,
    logs: Path | None = None,
    databases: Collection[Address] | None = None,
    address: str = LOOPBACK,
) -> Generator[Round, None, None]:
    """Yield each round as it ends, until at one of the plan's stops nothing is in doubt any more.

    A row that cannot be measured gets one round, which says why. After a stop only the rows in
    doubt are measured on, by servers started anew: what is hard to decide rests on several starts.
    databases: where those of a project listen that is not ours; None is ours, with its services.
    address: where the servers listen.
    A round from which somebody else took too much is measured again, in the same block, REPEATS
    times a row at most between two stops. Close the iterator to end the servers before its end.

    Raises ServerError if a server does not start, ServiceError if a service goes away, ViewError if
    a variant does not answer as it should before it is measured.
    """
    wanted = []
    here = sum(generator.here for generator in generators[:1])  # others are for rounds to come
    for number, row in enumerate(rows):
        if why := why_unmeasurable(row, here):
            yield not_measured(comparison, row, why)
        else:
            wanted.append((number, row))
    if not wanted:
        return
    with ExitStack() as stack:
        away: dict[float, Mapping[str, str]] = {}
        backends: Backends | Sockets
        if databases is None:
            backends = stack.enter_context(closing(Backends(os.environ["DATABASE_URL"])))
            for ms in sorted({row.round_trip for _, row in wanted}):
                away[ms] = stack.enter_context(distance.at_distance(ms, addresses()))
        else:
            backends = Sockets(databases)
        measurement = Measurement(comparison, plan, generators, backends, logs)
        measured: list[Round] = []
        costs: dict[tuple[str, ...], float] = {}
        for start, (before, stop) in enumerate(pairwise((0, *plan.stops)), 1):
            environs = [
                row.server_environ(comparison.slug, away.get(row.round_trip, {}), server=n)
                for n, row in wanted
            ]
            deployments = [row.deployment for _, row in wanted]
            # While they end, what they have shown is judged, and the next ones start.
            with servers.serving(deployments, environs, wait=False, address=address) as running:
                served = [
                    Served(row, running, index, sampling.usage(server).memory_mb, start)
                    for index, ((_, row), server) in enumerate(zip(wanted, running, strict=True))
                ]
                try:
                    took = warm_up(comparison.slug, [one.row for one in served], running, logs)
                except ViewError as error:
                    for one in served:
                        own = one.row.variant.name == error.variant
                        reason = (
                            error.problem if own else f"not measured, for {error.variant} fails"
                        )
                        yield not_measured(comparison, one.row, reason)
                    raise
                if start == 1:
                    held = holds(comparison.slug, [one.row for one in served], running)
                    for one, of_row in zip(served, held, strict=True):
                        one.held = of_row
                    # The least of several: processes that still start compute meanwhile.
                    batches = [bystander_cpu_ms(running) for _ in range(BYSTANDER_BATCHES)]
                    costs = dict(zip(map(_kind, served), map(min, *batches), strict=True))
                for one, seconds in zip(served, took, strict=True):
                    one.bystander_cpu_ms, one.alone = costs[_kind(one)], seconds
                for round_ in blocks(measurement, served, seed, range(before + 1, stop + 1)):
                    measured.append(round_)
                    yield round_
            doubts = in_doubt(measured)
            wanted = [(n, row) for n, row in wanted if row.key in doubts]
            if not wanted:
                break


def blocks(
    measurement: Measurement, served: Sequence[Served], seed: int, numbers: range
) -> Iterator[Round]:
    """Yield the rounds of these blocks, each of one round of every row, and of repeats.

    While one is answered and recorded, the next warms up where there is another load generator for
    it, and another server. Its window opens afterwards. CPU work is timed while nothing else runs,
    before a block.
    """
    work, generators = measurement.comparison.work, measurement.generators
    work_s: float | None = None
    repeats = {_kind(one): schedule.REPEATS for one in served}
    queue = [(number, one) for number in numbers for one in schedule.block(served, seed, number)]
    _collect_garbage([one.server for one in served])
    begun: Begun | None = None
    while begun or queue:
        if begun is None:
            if work:
                work_s = min_cpu_seconds(work, work_s)
            begun = begin(measurement, *queue.pop(0), generators[0], work_s)
        this, begun = begun, None
        window = watch(measurement, this)
        block, one = this.block, this.one
        ends = bool(queue) and queue[0][0] != block
        if queue and len(generators) > 1 and queue[0][1] is not one and not (work and ends):
            (other,) = (generator for generator in generators if generator is not this.generator)
            begun = begin(measurement, *queue.pop(0), other, work_s)
        if ends:
            _collect_garbage([one.server for one in served])
        round_ = record(measurement, this, window)
        yield round_
        if begun and round_.broken:  # whatever has broken it may have spoilt the warm-up too
            begun.generator.leave()
            queue.insert(0, (begun.block, begun.one))
            begun = None
        if isinstance(measurement.backends, Backends):
            measurement.backends.wait_for_it()
            services.ensure_alive()
        if one.server.death():
            _restart(measurement, one)
        if validity.why_disturbed(round_) and repeats[_kind(one)]:
            repeats[_kind(one)] -= 1
            rest_of_block = sum(of == block for of, _ in queue)
            queue.insert(rest_of_block, (block, one))
            _collect_garbage([one.server])


def _collect_garbage(running: Sequence[servers.Running]) -> None:
    """Have each server collect what has been left in it, while no window is open.

    All at once: it takes each of them some 40 ms of CPU time.
    """
    with ThreadPoolExecutor(max(1, len(running))) as threads:
        list(threads.map(partial(sampling.pool_counters, collect=True), running))


def _kind(one: Served) -> tuple[str, ...]:
    """What tells its row from the others, through all starts."""
    return tuple(map(str, (*one.row.key, one.row.deployment)))


def _restart(measurement: Measurement, one: Served) -> None:
    """Start the server anew, which died, and warm it up; wait for one that is somebody else's."""
    if isinstance(one.server, Host):
        one.server.come_back()
        return
    server = servers.restart(one.running, one.index)
    one.idle_mb = sampling.usage(server).memory_mb
    (one.alone,) = warm_up(measurement.comparison.slug, [one.row], [server], measurement.logs)


@dataclass(frozen=True)
class Begun:
    """A round that warms up."""

    block: int
    one: Served
    generator: LoadGenerator
    ceiling: float | None  # requests/s
    work_s: float | None
    pools: Mapping[str, int] | None  # what the server's have counted so far


@dataclass(frozen=True)
class Window:
    """What was seen while a round's window was open."""

    looks: sampling.Looks
    own_cpu: float  # seconds of this process
    steal: float
    throttled_s: float


def begin(
    measurement: Measurement,
    block: int,
    one: Served,
    generator: LoadGenerator,
    work_s: float | None,
) -> Begun:
    """Have the users of a row's round come to its server."""
    comparison, row = measurement.comparison, one.row
    pools = sampling.pool_counters(one.server)
    ceiling_rate = None
    if row.deployment.workers:  # how many somebody else has is not known
        ceiling_rate = ceiling(
            row.variant,
            row.deployment.interface,
            users=ANY_NUMBER if row.rate else row.users,
            processes=row.deployment.workers,
            threads=row.deployment.threads,
            cores=CORES,
            work=work_s,
        )
    if ceiling_rate and row.rate:
        ceiling_rate = min(ceiling_rate, row.rate)
    order = order_of(comparison.slug, row, one.server, measurement.plan, ceiling_rate, one.alone)
    generator.send(replace(order, first_byte=_speaks_of(comparison, "first_byte")))
    return Begun(block, one, generator, ceiling_rate, work_s, pools)


def watch(measurement: Measurement, begun: Begun) -> Window:
    """Open the window of a round and look at its server, until all that counts is answered."""
    comparison, generator, server = measurement.comparison, begun.generator, begun.one.server
    generator.go()
    opened = generator.expect("open")
    asks = _speaks_of(comparison, "upstream_calls")
    looks = sampling.Looks(server, measurement.backends, opened["at"], upstream=asks)
    if comparison.connections_end:
        looks.end_connections()
    own_cpu = time.process_time()
    cpu_before, throttled_before = psutil.cpu_times(), sampling.throttled_s()
    closed = generator.expect("close", looks.look, sampling.SAMPLING_S)
    cpu_after, throttled_after = psutil.cpu_times(), sampling.throttled_s()
    looks.end(closed["at"])
    own_cpu = time.process_time() - own_cpu
    generator.expect("settled")
    return Window(
        looks,
        own_cpu,
        sampling.stolen_share(cpu_before, cpu_after),
        throttled_after - throttled_before,
    )


def record(measurement: Measurement, begun: Begun, seen: Window) -> Round:
    """Wait until every request of the round is answered, and record it."""
    comparison, one, generator = measurement.comparison, begun.one, begun.generator
    row, server, looks = one.row, one.server, seen.looks
    result = generator.result()
    window = max(1e-3, result.closed - result.opened)
    broken = [*result.broken, *looks.broken]
    if death := server.death():
        broken.append(death)
    if row.max_requests and len(result.samples) + len(result.bystander) >= row.max_requests:
        broken.append(f"its {row.max_requests:,} requests, which are the most, were too few")
    round_ = Round(
        comparison=comparison.slug,
        variant=row.variant.name,
        deployment=row.deployment.name,
        workers=row.deployment.workers,
        worker_threads=row.deployment.threads,
        block=begun.block,
        server_start=one.start,
        held=one.held,
        users=row.users,
        round_trip=row.round_trip,
        opened=result.opened,
        closed=result.closed,
        samples=[Sample(*sample) for sample in result.samples],
        bystander=[Sample(*sample) for sample in result.bystander],
        server=_used(begun, looks) if looks.used else rounds.UNSEEN,
        generator_cpu=result.cpu,
        steal=seen.steal,
        throttled=seen.throttled_s / window,
        ceiling=begun.ceiling,
        wait=row.waiting or row.variant.wait,
        waiting=row.waiting is not None,
        work=begun.work_s,
        may_fail=row.variant.may_fail,
        rate=row.rate,
        send_delay=result.send_delay,
        generator_capacity=None if row.raw else generator.capacity,
        sampler_cpu=seen.own_cpu / window,
        generator_stall=result.stall,
        compare_stall=looks.late,
        postgres_stall=looks.silence,
        clock_jump=result.clock_jump,
        generators=[one | ({"capacity": None} if row.raw else {}) for one in result.workers],
        broken=broken,
    )
    exception = why_failed(round_, row, server, measurement.logs)
    return replace(round_, broken=[*round_.broken, exception]) if exception else round_


def _used(begun: Begun, looks: sampling.Looks) -> rounds.Server:
    one = begun.one
    return rounds.Server(
        processes=max(use.processes for use in looks.used),
        threads=max(use.threads for use in looks.used),
        cpu_seconds=max(0.0, looks.used[-1].cpu_seconds - looks.used[0].cpu_seconds),
        rss_mb=max(use.memory_mb for use in looks.used),
        idle_mb=one.idle_mb,
        bystander_cpu_ms=one.bystander_cpu_ms,
        busiest_worker=sampling.busiest_worker(looks.used, one.row.deployment.workers),
        db_connections=max((counts.connections for counts in looks.counts), default=0),
        queries=max((counts.queries for counts in looks.counts), default=0),
        transactions=max((counts.transactions for counts in looks.counts), default=0),
        upstream_calls=max(looks.upstream_calls, default=None),
        pool_wait_ms=sampling.pool_wait_ms(begun.pools, sampling.pool_counters(one.server)),
    )


def _speaks_of(comparison: Comparison, metric: Metric) -> bool:
    """Tell whether anything is expected of this metric: some cost the server to look at."""
    return any(expectation.metric == metric for expectation in comparison.expectations)


def order_of(
    slug: str,
    row: Row,
    server: servers.Running,
    plan: schedule.Plan,
    ceiling_rate: float | None = None,
    alone: float | None = None,
) -> Order:
    """Describe one round of the row.

    The users come as is best for its ceiling_rate (requests/s); where that is unknown, for the
    seconds that a lone request has taken.
    """
    return Order(
        comparison=slug,
        variant=row.route,
        host=server.url,
        server=server.name,
        users=row.users,
        window=_window(row, plan),
        min_answers=plan.min_answers,
        spread=_spread(row, ceiling_rate, alone),
        rate=row.rate,
        waiting=row.waiting,
        raw=row.raw,
        bystander=server.bystander,
        asks=[ask.as_row() for ask in row.asks],
        any_body=row.bodies_differ,
        locustfile=str(row.locustfile.resolve()) if row.locustfile else None,
        max_requests=row.max_requests,
    )


def _spread(row: Row, ceiling_rate: float | None, alone: float | None) -> float | None:
    """Return over how many seconds the users come, best those that all need for a request each.

    One slot needs no more than one request's: its queue spreads the answers, however users come.
    """
    if row.users == 1:
        return 0
    one_process = row.deployment.workers == 1
    if ceiling_rate:
        users = 1 if row.variant.slots == 1 and one_process else row.users
        return users / ceiling_rate
    # As long as if they came one after another. Several processes need the users' own time.
    return min(MAX_SPREAD_S, row.users * alone) if alone and one_process else None


def _window(row: Row, plan: schedule.Plan) -> float:
    if row.waiting:
        return min(plan.window, WAITING_WINDOW_S)
    return max(plan.window, OPEN_LOOP_WINDOW_S) if row.rate else plan.window


def min_cpu_seconds(work: Callable[[], Any], so_far: float | None) -> float:
    """Time the work: the least CPU seconds so far, for what is above them is disturbance."""

    def once() -> float:
        start = time.thread_time()
        work()
        return time.thread_time() - start

    return min(once(), once(), once() if so_far is None else so_far)


def not_measured(comparison: Comparison, row: Row, reason: str) -> Round:
    """Make the round that says why there is none."""
    return rounds.not_measured(
        comparison=comparison.slug,
        variant=row.variant.name,
        deployment=row.deployment.name,
        workers=row.deployment.workers,
        worker_threads=row.deployment.threads,
        users=row.users,
        round_trip=row.round_trip,
        reason=reason,
    )
