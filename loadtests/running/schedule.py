"""How many rounds, of which length, in which order, and for how long."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """window: seconds that a round measures, and longer until it has `min_answers`.
    looks: after how many blocks to look at the verdicts. between: after how many others only to
    start the servers anew, and to see whether there is time.

    After a look, only those rows go on of which something is expected that is not decided; what
    each look spends of the 5 % says `comparisons.confidence`, and so there may be as many as
    one likes.
    """

    window: float
    looks: tuple[int, ...]
    min_answers: int = 5
    between: tuple[int, ...] = ()

    @property
    def stops(self) -> list[int]:
        """After how many blocks the servers end, and others start."""
        return sorted((*self.looks, *self.between))

    def longer(self) -> "Plan":
        """Go on in the same steps for as long as anybody could wait, and look again now and then.

        A look after so many blocks more that they outweigh its greater confidence: by half as many
        again, intervals become narrower by 15 %; in equal steps they would hardly at all.
        """
        step = self.looks[-1] - self.looks[-2]
        looks, between = [*self.looks], []
        for blocks in range(self.looks[-1] + step, MAX_BLOCKS, step):
            if blocks >= LOOK_GROWTH * looks[-1]:
                looks.append(blocks)
            else:
                between.append(blocks)
        in_time = [blocks for blocks in between if blocks < looks[-1]]
        return replace(self, looks=tuple(looks), between=tuple(in_time))

    def last_look(self, blocks: int) -> int:
        """Return the last look of those that so many blocks have come to; 0 before the first."""
        return max((look for look in self.looks if look <= blocks), default=0)


REPEATS = 2  # of a row's rounds that were disturbed, between two starts of its server
MAX_BLOCKS = 1_000
LOOK_GROWTH = 1.5
FULL = Plan(window=0.5, looks=(4, 8, 12))
# Three blocks decide what is far from its bound, which most is; what is near it needs eight anyway.
QUICK = Plan(window=0.12, looks=(3, 8), min_answers=3)
# A quick run looks once at everything, however long that takes (nine seconds a comparison on two
# cores, ten minutes for all), and again at what is not decided only if these seconds a comparison
# leave time for that: on a quicker machine, or where only a few are asked for, which have a minute.
QUICK_S = 7
MIN_QUICK_S = 60


def quick_seconds(comparisons: int) -> float:
    """Return the seconds that a quick run of so many comparisons has for looking twice."""
    return max(MIN_QUICK_S, QUICK_S * comparisons)


def block(rows: Sequence[T], seed: int, number: int) -> list[T]:
    """Shuffle the rows for this block: every row once, in the same order for the same seed."""
    return random.Random(f"{seed} {number}").sample(rows, len(rows))


# --- The time in which what is not decided is measured on, after a plan's own looks


@dataclass
class Shares:
    """So many seconds from now on: each comparison has an equal share of what is left of them."""

    seconds: float
    comparisons: int
    began: float = field(default_factory=time.monotonic)
    end: float = 0

    def begin(self) -> None:
        """A comparison begins."""
        now = time.monotonic()
        self.end = now + max(0.0, self.began + self.seconds - now) / self.comparisons
        self.comparisons -= 1

    def is_left(self) -> bool:
        """Tell whether it may go on."""
        return time.monotonic() <= self.end


@dataclass
class FirstLooks:
    """So many seconds from now on, of which every comparison's first look has what it needs.

    Another look, taken to last as long as the first, needs time that those still to come will not
    need: each takes what first looks have taken so far, on average.
    """

    seconds: float
    comparisons: int  # to come
    began: float = field(default_factory=time.monotonic)
    looks: list[float] = field(default_factory=list)  # seconds that each first look has taken
    since: float = 0
    looked: bool = True

    def begin(self) -> None:
        """A comparison begins."""
        self.comparisons -= 1
        self.since, self.looked = time.monotonic(), False

    def is_left(self) -> bool:
        """Tell whether it may go on after its first look, or after another."""
        now = time.monotonic()
        if not self.looked:
            self.looks.append(now - self.since)
            self.looked = True
        to_come = self.comparisons * sum(self.looks) / len(self.looks)
        return now + self.looks[-1] + to_come <= self.began + self.seconds


Budget = Shares | FirstLooks
