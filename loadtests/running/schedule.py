"""How many rounds, of which length, in which order."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from loadtests.judging.intervals import confidence_at_each

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """window: seconds that a round measures, and longer until it has `min_answers`.
    looks: after how many blocks to look at the verdicts.

    After a look, only those rows go on of which something is expected that is not decided. The
    number of looks is fixed beforehand, and each uses its equal share of the 5 % (Bonferroni):
    looking again does not make a false verdict more likely than 5 % in all.
    """

    window: float
    looks: tuple[int, ...]
    min_answers: int = 5

    @property
    def confidence(self) -> float:
        """Of the interval at each look, so that all of them are right together 95 times in 100."""
        return confidence_at_each(len(self.looks))


REPEATS = 2  # of a round that was disturbed, on average over the rows of a comparison
FULL = Plan(window=0.5, looks=(4, 8))
QUICK = Plan(window=0.25, looks=(3,), min_answers=3)


def block(rows: Sequence[T], seed: int, number: int) -> list[T]:
    """Shuffle the rows for this block: every row once, in the same order for the same seed."""
    return random.Random(f"{seed} {number}").sample(rows, len(rows))
