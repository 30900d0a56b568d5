"""A result read again: its figures from its raw samples where there are any, else its own."""

from dataclasses import dataclass, replace
from pathlib import Path

from comparisons import result_store
from comparisons.result import Measurement, Result, Verdict
from loadtests.judging.declared import Declared
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
    looks: tuple[int, ...]

    @property
    def slugs(self) -> list[str]:
        return list(dict.fromkeys(row.comparison for row in self.result.measurements))

    def rounds_of(self, slug: str) -> list[Round]:
        return [round_ for round_ in self.rounds if round_.comparison == slug]

    def can_be_computed(self, slug: str) -> bool:
        return slug in self.declared and any(round_.comparison == slug for round_ in self.rounds)

    def summary(self, slug: str) -> tuple[list[Measurement], list[Verdict]]:
        """The measurements and verdicts of a comparison."""
        if not self.can_be_computed(slug):
            return (
                [row for row in self.result.measurements if row.comparison == slug],
                [verdict for verdict in self.result.verdicts if verdict.comparison == slug],
            )
        declared, measured = self.declared[slug], self.rounds_of(slug)
        return (
            measurements(declared, measured),
            judge_comparison(declared, measured, self.looks),
        )

    def computed(self) -> Result:
        """The result as it would be written today."""
        summaries = [self.summary(slug) for slug in self.slugs]
        return replace(
            self.result,
            measurements=[row for rows, _ in summaries for row in rows],
            verdicts=[verdict for _, verdicts in summaries for verdict in verdicts],
        )


def read(path: Path) -> Saved:
    """Read a result and its samples. ResultError if it is no result."""
    result = result_store.read(path)
    rounds, why_missing = result_store.read_samples(path, Round.from_row)
    if rounds and "alpha" not in result.plan:
        rounds, why_missing = [], f"{path} was judged in another way, by an older version"
    with result_store.reading(path):
        return Saved(
            result=result,
            declared={row["comparison"]: Declared.from_row(row) for row in result.declared},
            rounds=rounds,
            why_missing=why_missing,
            looks=tuple(map(int, result.plan["looks"])) if rounds else (),
        )
