"""One measured round: what was recorded, what follows from it, and whether it counts."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from comparisons.registry import Metric
from loadtests.judging.intervals import percentile

AGAIN = "_again"  # ends the second name of a variant that is measured against itself
MAX_GENERATOR_CPU = 0.8  # of one core: above it, the generator's own queue is in the latency
MAX_CAPACITY_SHARE = 0.8  # of what it can do against a trivial server
# Steal stretches CPU-bound work by as much: a tenth is what "no difference" leaves room for.
MAX_STEAL = 0.1
# Half a window: shorter stalls are noise, which the intervals show.
MAX_STALL_S = 0.25
MAX_CLOCK_JUMP_S = 0.01  # samples are placed in the window by the wall clock
MIN_ANSWERS = 3
# Above its ceiling a throughput is impossible; a tenth is left for what the window's edges cost.
MAX_OF_CEILING = 1.1


class Sample(NamedTuple):
    start: float  # time.time()
    latency: float  # ms
    status: int  # 0: no answer
    digest: int  # CRC-32 of the body
    error: str | None

    @property
    def end(self) -> float:
        return self.start + self.latency / 1000


@dataclass(frozen=True)
class Server:
    """What a server used during a round, over its whole process tree."""

    processes: int
    threads: int  # at most
    cpu_seconds: float
    rss_mb: float  # at most; shared pages counted once where the kernel tells (PSS)
    idle_mb: float  # the same before the first request
    db_connections: int  # at most
    # Of what its pools were asked for, the share that had to wait, and the wait of all on average;
    # None without a pool, or with several processes.
    pool_queued: float | None = None
    pool_wait_ms: float | None = None


@dataclass(frozen=True)
class Round:
    """One window of one variant on one deployment. Samples are those of the whole round."""

    comparison: str
    variant: str
    deployment: str
    workers: int  # processes that serve
    worker_threads: int  # of each, to serve requests; 0 is no limit
    block: int
    users: int
    round_trip: float  # ms
    opened: float
    closed: float
    samples: list[Sample]
    bystander: list[Sample]
    server: Server
    generator_cpu: float  # 0..1 of one core
    steal: float  # 0..1 of all cores, taken by the hypervisor
    ceiling: float | None  # requests/s
    wait: float | None  # seconds
    work: float | None  # seconds of CPU, timed just before the round
    may_fail: bool = False  # failing is the lesson
    rate: float | None = None  # requests/s of an open loop; None is the closed loop
    waiting: bool = False  # every user sends one request, and all of them wait during the window
    send_delay: float = 0  # ms, p99: how late the generator itself sent what was due (open loop)
    generator_capacity: float | None = None  # requests/s against a trivial server
    sampler_cpu: float = 0  # 0..1 of one core: what looking at the server cost
    throttled: float = 0  # 0..1 of the window, held back by the container's quota
    # Seconds, the longest each: the load generator did nothing; compare did not look at the server;
    # PostgreSQL did not answer compare.
    generator_stall: float = 0
    compare_stall: float = 0
    postgres_stall: float = 0
    clock_jump: float = 0  # seconds by which the wall clock was set meanwhile
    broken: list[str] = field(default_factory=list)  # what went wrong around it

    @property
    def row(self) -> tuple[str, str, int, float]:
        return self.variant, self.deployment, self.users, self.round_trip

    def answers(self) -> list[Sample]:
        """Those that came in the window; where requests wait, those that did so all through it.

        A request is known to wait from `wait` seconds before its answer.
        """
        if self.waiting and self.wait:
            return [
                sample
                for sample in self.samples
                if sample.end - self.wait <= self.opened and sample.end >= self.closed
            ]
        return [sample for sample in self.samples if self.opened <= sample.end <= self.closed]

    def bystander_answers(self) -> list[Sample]:
        """Those whose call fell due in the window: the ones that waited longest end after it."""
        return [sample for sample in self.bystander if self.opened <= sample.start <= self.closed]


def throughput(round_: Round) -> float:
    """Answers a second: those in the window, over the time from the last answer before it.

    Both ends are answers, so that a view that gives ten a second is not counted as nine or eleven.
    Where requests only wait, none is answered in the window.
    """
    answers = round_.answers()
    if not answers or round_.waiting:
        return 0
    before = [sample.end for sample in round_.samples if sample.end < round_.opened]
    span = max(sample.end for sample in answers) - max(before, default=round_.opened)
    return len(answers) / span if span > 0 else 0


def latencies(round_: Round) -> list[float]:
    return [sample.latency for sample in round_.answers()]


def bystander_latencies(round_: Round) -> list[float]:
    return [sample.latency for sample in round_.bystander_answers()]


METRICS: dict[Metric, Callable[[Round], float]] = {
    "throughput": throughput,
    "latency": lambda round_: percentile(latencies(round_), 50),
    "latency_p99": lambda round_: percentile(latencies(round_), 99),
    "bystander": lambda round_: percentile(bystander_latencies(round_), 50),
    "bystander_p99": lambda round_: percentile(bystander_latencies(round_), 99),
    "cpu_per_request": lambda round_: (
        1000 * round_.server.cpu_seconds / max(1, len(round_.answers()))
    ),
    "memory": lambda round_: max(round_.server.rss_mb - round_.server.idle_mb, 0.1),
    "threads": lambda round_: round_.server.threads,
    "connections": lambda round_: round_.server.db_connections,
    "pool_wait": lambda round_: round_.server.pool_wait_ms or 0,
    "failures": lambda round_: len(failures(round_)) / max(1, len(round_.answers())),
}


def failures(round_: Round) -> list[Sample]:
    return [sample for sample in round_.answers() if sample.error]


def stalled(generator_stall: float, clock_jump: float) -> bool:
    """Whether the load generator's times are wrong."""
    return generator_stall > MAX_STALL_S or abs(clock_jump) > MAX_CLOCK_JUMP_S


def disturbances(round_: Round) -> list[str]:
    """What came between that has nothing to do with the variant: the round is to be repeated."""
    reasons = []
    if round_.throttled > MAX_STEAL:
        reasons.append(f"the container's quota held it back for {round_.throttled:.0%} of the time")
    if round_.steal > MAX_STEAL:
        reasons.append(f"the hypervisor took {round_.steal:.0%} of the CPU")
    for what, seconds in (
        ("the load generator stood still", round_.generator_stall),
        ("compare itself stood still", round_.compare_stall),
        ("PostgreSQL did not answer", round_.postgres_stall),
    ):
        if seconds > MAX_STALL_S:
            reasons.append(f"{what} for {seconds:.1f} s")
    if abs(round_.clock_jump) > MAX_CLOCK_JUMP_S:
        reasons.append(f"the clock was set by {round_.clock_jump:+.2f} s, or the machine slept")
    return reasons


def invalid_because(round_: Round, digest: int | None) -> list[str]:
    """Why the round does not count; nothing when it does.

    digest: of the body that the comparison's variants agree on.
    """
    reasons = list(round_.broken)
    if not round_.samples and reasons:  # it was not measured at all
        return reasons
    answers = round_.answers()
    asked = round_.samples if round_.waiting else answers
    for whose, calls in (
        ("answers", [] if round_.may_fail else asked),
        ("bystander's answers", round_.bystander_answers()),
    ):
        errors = Counter(sample.error for sample in calls if sample.error)
        for error, count in errors.most_common(2):
            reasons.append(f"{count} of {len(calls)} {whose} failed: {error}")
    if round_.waiting and len(answers) < round_.users:
        reasons.append(f"{len(answers)} of {round_.users} requests waited at once")
    elif not round_.waiting and len(answers) < MIN_ANSWERS:
        reasons.append(f"only {len(answers)} answers in the window")
    bodies = {sample.digest for sample in answers if not sample.error}
    if digest is not None and bodies - {digest}:
        reasons.append("another body than the other variants'")
    if round_.generator_cpu > MAX_GENERATOR_CPU:
        reasons.append(f"the load generator used {round_.generator_cpu:.0%} of its core")
    capacity = round_.generator_capacity
    if capacity and throughput(round_) > MAX_CAPACITY_SHARE * capacity:
        reasons.append(f"the load generator is near its limit of {capacity:.0f} requests/s")
    reasons += disturbances(round_)
    if round_.ceiling and throughput(round_) > MAX_OF_CEILING * round_.ceiling:
        reasons.append(f"{throughput(round_):.0f} answers/s is above the ceiling")
    return reasons
