"""One round by several workers: whose part is what, whose clock says what, and all parts as one.

Pure functions, for the master (master.py), which talks with the workers, and for the tests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loadtests.orders import LoadResult, Order


@dataclass(frozen=True)
class Clock:
    """A worker's clock, as its answers to pings have shown it."""

    offset: float  # seconds that it is ahead of the master's
    uncertain: float  # seconds by which that may be wrong, either way
    round_trip: float  # seconds, the shortest of all pings

    @classmethod
    def of(cls, pings: Sequence[tuple[float, float, float]]) -> "Clock":
        """Estimate it from pings: when each was sent, the worker's time, when the answer came.

        Of the quickest: its answer was given between both moments, most likely in the middle.
        Half a round trip is the most by which that can be wrong (Cristian's algorithm).
        """
        sent, there, came = min(pings, key=lambda ping: ping[2] - ping[0])
        trip = max(0.0, came - sent)
        return cls(there - (sent + came) / 2, trip / 2, trip)


def shares(order: Order, machines: Sequence[str]) -> list[Order]:
    """Divide a round: an order for each worker that has a part in it.

    machines: on which each worker runs. Users, the rate of an open loop and a bound of requests are
    divided evenly. The bystander is the first one's.
    """
    workers = len(machines)
    if order.rate is None:
        counts = [
            order.users // workers + (number < order.users % workers) for number in range(workers)
        ]
        parts = [
            replace(order, users=count, users_here=_of_machine(machine, machines, counts))
            for machine, count in zip(machines, counts, strict=True)
            if count
        ]
    else:
        parts = [replace(order, rate=order.rate / workers)] * workers
    if order.max_requests:
        parts = [replace(part, max_requests=order.max_requests // len(parts)) for part in parts]
    return [
        part if number == 0 else replace(part, bystander=None) for number, part in enumerate(parts)
    ]


def _of_machine(machine: str, machines: Sequence[str], counts: Sequence[int]) -> int:
    return sum(count for own, count in zip(machines, counts, strict=True) if own == machine)


def merged(results: Mapping[str, tuple[LoadResult, Clock]]) -> LoadResult:
    """Put the parts of a round together, by the workers' names, all times by the master's clock.

    Its window is what the workers' windows have in common: outside of it, one of them may not have
    measured. So their answers add up.
    """
    parts = {name: _by_master(result, clock) for name, (result, clock) in results.items()}
    opened = max(part.opened for part in parts.values())
    closed = min(part.closed for part in parts.values())
    broken = []
    if closed <= opened:
        broken.append("the workers' windows have nothing in common")
        closed = opened
    return LoadResult(
        opened=opened,
        closed=closed,
        cpu=max(part.cpu for part in parts.values()),
        samples=[sample for part in parts.values() for sample in part.samples],
        bystander=[sample for part in parts.values() for sample in part.bystander],
        send_delay=max(part.send_delay for part in parts.values()),
        stall=max(part.stall for part in parts.values()),
        clock_jump=max((part.clock_jump for part in parts.values()), key=abs),
        workers=[worker_row(name, part, results[name][1]) for name, part in parts.items()],
        broken=broken,
    )


def _by_master(result: LoadResult, clock: Clock) -> LoadResult:
    """Have its times by the master's clock."""

    def moved(samples: list[list[Any]]) -> list[list[Any]]:
        return [[start - clock.offset, *rest] for start, *rest in samples]

    return replace(
        result,
        opened=result.opened - clock.offset,
        closed=result.closed - clock.offset,
        samples=moved(result.samples),
        bystander=moved(result.bystander),
    )


def worker_row(name: str, result: LoadResult, clock: Clock) -> dict[str, Any]:
    """Say what a worker had to do in a round: cpu is 0..1 of one core, times are in ms."""
    ends = [start + latency / 1000 for start, latency, *_ in result.samples]
    answers = sum(result.opened <= end <= result.closed for end in ends)
    return {
        "name": name,
        "cpu": round(result.cpu, 3),
        "answers_per_s": round(answers / max(1e-3, result.closed - result.opened), 1),
        "offset_ms": round(1000 * clock.offset, 3),
        "uncertain_ms": round(1000 * clock.uncertain, 3),
        "round_trip_ms": round(1000 * clock.round_trip, 3),
    }
