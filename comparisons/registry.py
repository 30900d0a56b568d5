"""What a comparison is. The comparisons themselves are the modules of `comparisons.pairs`."""

import inspect
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
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
    "cpu_per_request",  # CPU ms of the whole server
    "memory",  # MB that the server grew to above its idle size
]
# What theory alone gives, as the other side of a ratio: the variant's own wait (for metrics in ms),
# its ceiling (for throughput), or the measured duration of the comparison's CPU work (for ms).
Theory = Literal["wait", "ceiling", "work"]
# A bound may depend on the load: a function of the number of users.
Bound = float | Callable[[int], float]


@dataclass(frozen=True)
class Variant:
    """One view of a comparison, and the deployment it is measured on.

    wait: seconds that a request cannot but wait, however it is served.
    slots: how many requests can wait at once in one process, where that is not what the interface
        says: the threads under WSGI, no limit on an event loop. A view that blocks its loop has 1.
    cpu: whether the comparison's CPU work limits the throughput (one core a process: the GIL).
    """

    view: View
    deployment: str
    wait: float | None = None
    slots: int | None = None
    cpu: bool = False
    pitfall: bool = False

    @property
    def name(self) -> str:
        return self.view.__name__

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.view)


@dataclass(frozen=True)
class Expectation:
    """A claim made checkable: a metric of one view divided by that of another, or by theory.

    Exactly one of at_least, at_most and between is given: a ratio, or a function users -> ratio.
    """

    view: View
    metric: Metric
    of: View | Theory
    at_least: Bound | None = None
    at_most: Bound | None = None
    between: tuple[Bound, Bound] | None = None

    def __post_init__(self) -> None:
        given = [
            bound for bound in (self.at_least, self.at_most, self.between) if bound is not None
        ]
        if len(given) != 1:
            raise ValueError("an expectation has one of at_least, at_most and between")

    def bounds(self, users: int) -> tuple[float | None, float | None]:
        """The lowest and the highest ratio that agree with the claim; None is no limit."""
        low, high = self.between or (self.at_least, self.at_most)
        return _at(low, users), _at(high, users)

    def text(self, users: int) -> str:
        """For instance `async_native throughput of async_blocking at least 5`."""
        of = self.of if isinstance(self.of, str) else self.of.__name__
        low, high = self.bounds(users)
        if low is not None and high is not None:
            bound = f"between {low:g} and {high:.4g}"
        else:
            bound = f"at least {low:g}" if low is not None else f"at most {high:g}"
        return f"{self.view.__name__} {self.metric} of {of} {bound}"


def _at(bound: Bound | None, users: int) -> float | None:
    return bound(users) if callable(bound) else bound


@dataclass(frozen=True)
class Comparison:
    """One question: its variants, the load they are measured under, and what theory expects.

    users: concurrent users, each of whom sends the next request as soon as the last is answered.
    work: the CPU-bound part of a request alone; timed in every round where given.
    round_trip: ms to Postgres, Valkey and the upstream; 0 is this machine.
    """

    users: int
    variants: Sequence[Variant]
    expectations: Sequence[Expectation]
    work: Callable[[], Any] | None = None
    round_trip: float = 0

    @property
    def module(self) -> Any:
        return sys.modules[self.variants[0].view.__module__]

    @property
    def slug(self) -> str:
        return str(self.module.__name__).rpartition(".")[2].replace("_", "-")

    @property
    def title(self) -> str:
        return str(self.module.__doc__).partition("\n")[0].rstrip(".")

    def variant(self, view: View) -> Variant:
        return next(variant for variant in self.variants if variant.view is view)

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
