"""One measured round, as it was recorded.

`metrics` says what follows from it, and `validity` whether it counts.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

from comparisons.result import Hold
from loadtests.orders import LEFT

AGAIN = "_again"  # ends the second name of a variant that is measured against itself


class Sample(NamedTuple):
    start: float  # time.time()
    latency_ms: float
    status: int  # 0: no answer
    digest: int  # CRC-32 of the body
    error: str | None
    first_byte_ms: float | None = None  # of the body; None where nobody looked

    @property
    def end(self) -> float:
        return self.start + self.latency_ms / 1000

    @property
    def failed(self) -> bool:
        """A request that its user has left has not."""
        return self.error not in (None, LEFT)


@dataclass(frozen=True)
class Server:
    """What a server used during a round, over its whole process tree."""

    processes: int
    threads: int  # at most
    cpu_seconds: float
    rss_mb: float  # at most; shared pages counted once where the kernel tells (PSS)
    idle_mb: float  # the same before the first request
    db_connections: int  # at most, as the next three
    # Of a connection from its pools, on average; None without a pool, or with several processes.
    pool_wait_ms: float | None = None
    bystander_cpu_ms: float = 0  # CPU time of one of the bystander's calls, calibrated
    queries: int = 0  # that Postgres runs for it
    transactions: int = 0  # open in Postgres
    upstream_calls: int | None = None  # that the upstream is busy with; None where nobody looked
    # CPU time of the busiest of the processes that serve, in those of the average one; None if none
    # took any.
    busiest_worker: float | None = None

    @property
    def seen(self) -> bool:
        """Tell whether anybody looked at it: not at one that is somebody else's."""
        return self.processes > 0


UNSEEN = Server(0, 0, 0, 0, 0, 0)  # one at which nobody looked


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
    server_start: int = 1  # which start of the row's server
    held: list[Hold] | None = None  # what held its event loop before the first; None: nobody looked
    # What each of several load generators had to do (distributed.worker_row), and its `capacity`.
    generators: list[dict[str, Any]] = field(default_factory=list)
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

    def due(self) -> list[Sample]:
        """Those whose latency counts: of an open loop, all that fell due in the window."""
        if self.rate is None:
            return self.answers()
        return [sample for sample in self.samples if self.opened <= sample.start <= self.closed]

    def bystander_answers(self) -> list[Sample]:
        """Those whose call fell due in the window: the ones that waited longest end after it."""
        return [sample for sample in self.bystander if self.opened <= sample.start <= self.closed]

    def as_row(self) -> dict[str, Any]:
        """As the result's samples have it: of five values each, or of six with a first byte."""
        row = asdict(self)
        for name in ("samples", "bystander"):
            row[name] = [
                sample[:5] if sample.first_byte_ms is None else sample for sample in row[name]
            ]
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Round":
        """Read a round of whatever version: older ones have fields that nobody used."""
        recorded = _fields_of(cls, row)
        recorded["server"] = Server(**_fields_of(Server, row["server"]))
        for name in ("samples", "bystander"):
            recorded[name] = [Sample(*sample) for sample in row[name]]
        recorded["held"] = Hold.from_rows(row.get("held"))
        return cls(**recorded)


def _fields_of(kind: type[Round] | type[Server], row: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: row[field.name] for field in fields(kind) if field.name in row}


def not_measured(
    *,
    comparison: str,
    variant: str,
    deployment: str,
    workers: int,
    worker_threads: int,
    users: int,
    round_trip: float,
    reason: str,
) -> Round:
    """Make a round that says why there is none: without samples, in no block."""
    return Round(
        comparison=comparison,
        variant=variant,
        deployment=deployment,
        workers=workers,
        worker_threads=worker_threads,
        block=0,
        users=users,
        round_trip=round_trip,
        opened=0,
        closed=0,
        samples=[],
        bystander=[],
        server=UNSEEN,
        generator_cpu=0,
        steal=0,
        ceiling=None,
        wait=None,
        work=None,
        broken=[reason],
    )
