"""How many rounds, of which length, in which order."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """window: seconds that a round measures, and longer until it has `min_answers`.
    looks: after how many blocks to look at the verdicts.

    After a look, only those rows go on of which something is expected that is not decided; what
    each look spends of the 5 % says `intervals.confidence_at`, and so there may be as many as
    one likes.
    """

    window: float
    looks: tuple[int, ...]
    min_answers: int = 5

    def longer(self) -> "Plan":
        """Look on, in the same steps, for as long as anybody could wait."""
        step = self.looks[-1] - self.looks[-2]
        more = range(self.looks[-1] + step, MAX_BLOCKS, step)
        return Plan(self.window, (*self.looks, *more), self.min_answers)


REPEATS = 2  # of a row's rounds that were disturbed, between two looks
MAX_BLOCKS = 1_000
FULL = Plan(window=0.5, looks=(4, 8, 12))
# Three blocks decide what is far from its bound, which most is; what is near it needs eight anyway.
QUICK = Plan(window=0.2, looks=(3, 8), min_answers=3)
# A quick run looks once at everything, however long that takes, and again only while it has time:
# seconds for a comparison on average, together less than ten minutes; and enough for a few.
QUICK_S = 8.5
MIN_QUICK_S = 60


def quick_seconds(comparisons: int) -> float:
    """Return the seconds after which a quick run of so many comparisons measures nothing again."""
    return max(MIN_QUICK_S, QUICK_S * comparisons)


def block(rows: Sequence[T], seed: int, number: int) -> list[T]:
    """Shuffle the rows for this block: every row once, in the same order for the same seed."""
    return random.Random(f"{seed} {number}").sample(rows, len(rows))
