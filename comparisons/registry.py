"""What a comparison is. The comparisons themselves are the modules of `comparisons.pairs`."""

import inspect
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from django.http import HttpResponseBase

# Sync or async: what Django's `path` takes.
View = Callable[..., HttpResponseBase] | Callable[..., Coroutine[Any, Any, HttpResponseBase]]

Metric = Literal[
    "throughput",  # answers a second
    "latency",  # ms, the median
    "latency_p99",  # ms
    "bystander",  # ms, the median
    "bystander_p99",  # ms
    "cpu_per_request",  # CPU ms of the whole server, for an answer or for a request that waits
    "memory",  # MB that the server grew to above its idle size
    "threads",  # of the whole server, at most
    "connections",  # to Postgres, of the whole server, at most
    "pool_wait",  # ms that a request for a connection waits in its pool, on average
    "failures",  # the share of answers that failed, 0 to 1
]
# What theory alone gives, as the other side of a ratio: the variant's own wait (for metrics in ms),
# its ceiling (for throughput), or the measured duration of the comparison's CPU work (for ms).
THEORY = ("wait", "ceiling", "work")
# A bound may depend on the load: a function of the number of users.
Bound = float | Callable[[int], float]


@dataclass(frozen=True)
class Variant:
    """One view of a comparison, and the deployment it is measured on.

    wait: seconds that a request cannot but wait, however it is served.
    slots: how many requests can wait at once in one process, where that is not what the interface
        says: the threads under WSGI, no limit on an event loop. A view that blocks its loop has 1.
    cpu: whether the comparison's CPU work limits the throughput (one core a process: the GIL).
    may_fail: whether failing is the lesson; otherwise a failed answer makes a round invalid.
    name: where one view is measured in several ways; otherwise the view's own.
    workers, threads, database: another shape than the deployment's own.
    environ: what else the server finds in its environment; `{row}` in a value becomes a number of
        the server's own, for what servers that run side by side can't share.
    """

    view: View
    deployment: str
    wait: float | None = None
    slots: int | None = None
    cpu: bool = False
    pitfall: bool = False
    may_fail: bool = False
    name: str = ""
    workers: int | None = None
    threads: int | None = None
    database: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.view.__name__)

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.view)


@dataclass(frozen=True)
class Expectation:
    """A claim made checkable: a metric of one variant divided by that of another, or by theory.

    variant: a view, or the name of a variant. of: likewise, or a word of THEORY; None expects a
    value and no ratio. Exactly one of at_least, at_most and between is given: a number, or a
    function users -> number. users, round_trip: the case it speaks of, where a comparison has more
    than one.
    """

    variant: Any  # a view or a name; kept as the name
    metric: Metric
    of: Any = None  # likewise
    at_least: Bound | None = None
    at_most: Bound | None = None
    between: tuple[Bound, Bound] | None = None
    users: int | None = None
    round_trip: float | None = None

    def __post_init__(self) -> None:
        given = [
            bound for bound in (self.at_least, self.at_most, self.between) if bound is not None
        ]
        if len(given) != 1:
            raise ValueError("an expectation has one of at_least, at_most and between")
        for side in ("variant", "of"):
            object.__setattr__(self, side, _name(getattr(self, side)))

    def bounds(self, users: int) -> tuple[float | None, float | None]:
        """The lowest and the highest value that agree with the claim; None is no limit."""
        low, high = self.between or (self.at_least, self.at_most)
        return _at(low, users), _at(high, users)

    def text(self, users: int) -> str:
        """For instance `async_native throughput of async_blocking at least 5`."""
        low, high = self.bounds(users)
        if low is not None and high is not None:
            bound = f"between {low:.4g} and {high:.4g}"
        else:
            bound = f"at least {low:.4g}" if low is not None else f"at most {high:.4g}"
        of = f" of {self.of}" if self.of else ""
        case = f" with {self.users} users" if self.users is not None else ""
        case += f" at {self.round_trip:g} ms" if self.round_trip is not None else ""
        return f"{self.variant} {self.metric}{of} {bound}{case}"


def _name(side: Any) -> Any:
    return getattr(side, "__name__", side)


def _at(bound: Bound | None, users: int) -> float | None:
    return bound(users) if callable(bound) else bound


@dataclass(frozen=True)
class Comparison:
    """One question: its variants, the load they are measured under, and what theory expects.

    users: concurrent users, each of whom sends the next request as soon as the last is answered.
    waiting: users -> seconds, where instead each of them sends one request, all at once, and it
        waits for so long (`?seconds=`): what is measured is that they wait.
    work: the CPU-bound part of a request alone; timed in every round where given.
    round_trip: ms to Postgres, Valkey and the upstream; 0 is this machine.
    Of users and round_trip there may be several; every variant is measured in each case.
    """

    users: int | tuple[int, ...]
    variants: Sequence[Variant]
    expectations: Sequence[Expectation]
    work: Callable[[], Any] | None = None
    round_trip: float | tuple[float, ...] = 0
    waiting: Callable[[int], float] | None = None

    @property
    def module(self) -> Any:
        return sys.modules[self.variants[0].view.__module__]

    @property
    def slug(self) -> str:
        return str(self.module.__name__).rpartition(".")[2].replace("_", "-")

    @property
    def title(self) -> str:
        return str(self.module.__doc__).partition("\n")[0].rstrip(".")

    @property
    def cases(self) -> list[tuple[int, float]]:
        """Every (users, round_trip)."""
        users = self.users if isinstance(self.users, tuple) else (self.users,)
        trips = self.round_trip if isinstance(self.round_trip, tuple) else (self.round_trip,)
        return [(count, trip) for count in users for trip in trips]

    def case(self, expectation: Expectation) -> tuple[int, float]:
        """The case that the expectation speaks of; the first where it does not say."""
        return next(
            (users, trip)
            for users, trip in self.cases
            if expectation.users in (None, users) and expectation.round_trip in (None, trip)
        )

    def lesson(self) -> dict[str, str]:
        """The labelled paragraphs of the module's docstring: Claim, Blocks, Instead."""
        lesson: dict[str, str] = {}
        for line in inspect.cleandoc(self.module.__doc__).splitlines()[1:]:
            label, colon, text = line.partition(": ")
            if colon and label.istitle() and label.isalpha():
                lesson[label] = text
            elif lesson and line:
                lesson[next(reversed(lesson))] += f" {line.strip()}"
        return lesson


def ceiling(
    variant: Variant,
    interface: Literal["wsgi", "asgi"],
    *,
    users: int,
    processes: int,
    threads: int,
    cores: int,
    work: float | None = None,
) -> float | None:
    """The requests a second that the work itself allows; None where nothing is known beforehand.

    For a wait, Little's law: min(users, slots) / wait. For CPU work of `work` seconds under the
    GIL, one core a process: min(processes, cores, users) / work.
    """
    if variant.cpu and work:
        return min(processes, cores, users) / work
    if variant.wait is None:
        return None
    if variant.slots is not None:
        slots = variant.slots * processes
    else:
        slots = processes * (threads or users) if interface == "wsgi" else users
    return min(users, slots) / variant.wait
