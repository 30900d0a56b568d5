"""A result read again: its figures from its raw samples where there are any, else its own."""

from dataclasses import dataclass
from pathlib import Path

from comparisons import result_store
from comparisons.result import Measurement, Result, Verdict
from loadtests.judging.declared import Declared
from loadtests.judging.intervals import confidence_at_each
from loadtests.judging.measurements import measurements
from loadtests.judging.rounds import Round
from loadtests.judging.verdicts import judge_comparison


@dataclass(frozen=True)
class Saved:
    result: Result
    # What was asked of each comparison; older files do not say it.
    declared: dict[str, Declared]
    rounds: list[Round]
    # Why there are no rounds, or not all; "" if there are.
    why_missing: str
    confidence: float

    @property
    def slugs(self) -> list[str]:
        return list(dict.fromkeys(row.comparison for row in self.result.measurements))

    def can_be_computed(self, slug: str) -> bool:
        return slug in self.declared and any(round_.comparison == slug for round_ in self.rounds)

    def summary(self, slug: str) -> tuple[list[Measurement], list[Verdict]]:
        """The measurements and verdicts of a comparison."""
        if not self.can_be_computed(slug):
            return (
                [row for row in self.result.measurements if row.comparison == slug],
                [verdict for verdict in self.result.verdicts if verdict.comparison == slug],
            )
        declared = self.declared[slug]
        measured = [round_ for round_ in self.rounds if round_.comparison == slug]
        return (
            measurements(declared, measured, self.confidence),
            judge_comparison(declared, measured, self.confidence),
        )


def read(path: Path) -> Saved:
    """Read a result and its samples. ResultError if it is no result."""
    result = result_store.read(path)
    rounds, why_missing = result_store.read_samples(path, Round.from_row)
    with result_store.reading(path):
        return Saved(
            result=result,
            declared={row["comparison"]: Declared.from_row(row) for row in result.declared},
            rounds=rounds,
            why_missing=why_missing,
            confidence=confidence_at_each(len(result.plan["looks"]) if rounds else 1),
        )
