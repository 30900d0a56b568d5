"""The README's table: which of a comparison's verdicts a stranger reads."""

import pytest

from comparisons.result import Expected, Verdict
from loadtests.reporting.reference import most_telling

PITFALLS = {"async_blocking"}


def verdict(variant, of, measured, outcome="holds", metric="throughput"):
    expected = Expected(
        variant=variant,
        metric=metric,
        of=of,
        low=None,
        high=1,
        users=6,
        round_trip=0,
        text="its name",
    )
    return Verdict(
        comparison="blocking-call",
        expectation="its name",
        outcome=outcome,
        measured=measured,
        low=measured,
        high=measured,
        because="",
        expected=expected,
    )


OF_CEILING = verdict("async_blocking", "ceiling", 0.01)
TWO_OTHERS = verdict("async_native", "sync", 40)
SMALL = verdict("async_native", "async_blocking", 1.1)
LARGE = verdict("async_blocking", "async_native", 0.2)
OPEN = verdict("async_native", "async_blocking", 9, "inconclusive")
REFUTED = verdict("async_native", None, 100, "refuted", "threads")
FAILING = verdict("async_blocking", None, 0.7, metric="failures")
SOUND = verdict("async_blocking", None, 0, metric="failures")
INVALID = verdict("async_native", "async_blocking", None, "invalid")


@pytest.mark.parametrize(
    ("telling", "other"),
    [
        pytest.param(SMALL, OF_CEILING, id="pitfall beside a remedy, not beside theory"),
        pytest.param(SMALL, TWO_OTHERS, id="pitfall, not two others"),
        pytest.param(LARGE, SMALL, id="the greatest effect, in either direction"),
        pytest.param(SMALL, OPEN, id="decided, not open"),
        pytest.param(SMALL, REFUTED, id="the lesson, not what is refuted beside it"),
        pytest.param(REFUTED, TWO_OTHERS, id="refuted, where no pitfall is compared"),
        pytest.param(REFUTED, FAILING, id="refuted, not what a pitfall does alone"),
        pytest.param(FAILING, TWO_OTHERS, id="what a pitfall does alone, not two others"),
        pytest.param(FAILING, SOUND, id="failures, not none"),
        pytest.param(TWO_OTHERS, INVALID, id="measured, not invalid"),
    ],
)
def test_most_telling(telling, other):
    assert most_telling([telling, other], PITFALLS) is telling
    assert most_telling([other, telling], PITFALLS) is telling


def test_of_equals_the_first():
    assert (
        most_telling([REFUTED, verdict(*("sync", None, 90, "refuted"), "threads")], set())
        is REFUTED
    )
