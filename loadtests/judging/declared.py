"""What was asked of a comparison, as plain data: verdicts need no more.

The result file keeps it, and so says the same after the pair has been edited, or is gone.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from comparisons.registry import Comparison, Expectation, Metric


@dataclass(frozen=True)
class Expected:
    """An expectation of one case. low, high: what agrees with it; None is no limit."""

    variant: str
    metric: Metric
    of: str | None
    low: float | None
    high: float | None
    users: int
    round_trip: float
    text: str

    @property
    def case(self) -> tuple[int, float]:
        return self.users, self.round_trip

    @classmethod
    def of_comparison(cls, expectation: Expectation, comparison: Comparison) -> "Expected":
        users, round_trip = comparison.case(expectation)
        low, high = expectation.bounds(users)
        return cls(
            variant=expectation.variant,
            metric=expectation.metric,
            of=expectation.of,
            low=low,
            high=high,
            users=users,
            round_trip=round_trip,
            text=expectation.text(users),
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

    @classmethod
    def of(cls, comparison: Comparison) -> "Declared":
        return cls(
            comparison=comparison.slug,
            title=comparison.title,
            users=tuple(dict.fromkeys(users for users, _ in comparison.cases)),
            round_trip=tuple(dict.fromkeys(trip for _, trip in comparison.cases)),
            variants=tuple(variant.name for variant in comparison.variants),
            pitfalls=tuple(variant.name for variant in comparison.variants if variant.pitfall),
            expectations=tuple(
                Expected.of_comparison(expectation, comparison)
                for expectation in comparison.expectations
            ),
        )

    def as_row(self) -> dict[str, Any]:
        """As the result file has it."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Declared":
        expectations = tuple(Expected(**expectation) for expectation in row["expectations"])
        return cls(**{**row, "expectations": expectations})
