"""What was asked of a comparison, as plain data: verdicts need no more.

The result file keeps it, and so says the same after the pair has been edited, or is gone.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from comparisons.registry import Comparison, Cost, Expectation, slack
from comparisons.result import Expected


def expected(
    expectation: Expectation, comparison: Comparison, cost: Cost | None, work_s: float | None
) -> Expected:
    """Say what the expectation means in its case, on a machine with this cost.

    work_s: CPU seconds of the comparison's work on it. Without a cost, NEAR and SAME have no bound.
    """
    users, round_trip = comparison.case(expectation)
    (variant,) = [v for v in comparison.variants if v.name == expectation.variant]
    low, high = None, None
    if cost or not expectation.takes_slack:
        spare = 0.0
        if cost and expectation.takes_slack:
            spare = slack(variant, cost, work_s, expectation.of)
        low, high = expectation.bounds(users, spare)
    return Expected(
        variant=expectation.variant,
        metric=expectation.metric,
        of=expectation.of,
        low=low,
        high=high,
        users=users,
        round_trip=round_trip,
        text=expectation.text(users, one_of_several=len(comparison.cases) > 1),
        why=expectation.why,
    )


@dataclass(frozen=True)
class Declared:
    """A comparison. users, round_trip: of its cases. variants: names, in the order of the table."""

    comparison: str
    title: str
    users: tuple[int, ...]
    round_trip: tuple[float, ...]
    variants: tuple[str, ...]
    pitfalls: tuple[str, ...]
    expectations: tuple[Expected, ...]
    rate: float | None = None  # requests/s of an open loop, in place of users

    @classmethod
    def of(
        cls, comparison: Comparison, cost: Cost | None = None, work_s: float | None = None
    ) -> "Declared":
        """As `expected`."""
        return cls(
            comparison=comparison.slug,
            title=comparison.title,
            users=tuple(dict.fromkeys(users for users, _ in comparison.cases)),
            round_trip=tuple(dict.fromkeys(trip for _, trip in comparison.cases)),
            variants=tuple(variant.name for variant in comparison.variants),
            pitfalls=tuple(variant.name for variant in comparison.variants if variant.pitfall),
            expectations=tuple(
                expected(expectation, comparison, cost, work_s)
                for expectation in comparison.expectations
            ),
            rate=comparison.rate,
        )

    def as_row(self) -> dict[str, Any]:
        """As the result file has it."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Declared":
        expectations = tuple(map(Expected.from_row, row["expectations"]))
        return cls(**{**row, "expectations": expectations})
