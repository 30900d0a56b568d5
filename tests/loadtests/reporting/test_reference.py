"""What the READMEs show: the findings, and of each comparison the verdict that tells most."""

from dataclasses import replace
from itertools import chain

import pytest

from comparisons.pairs import COMPARISONS
from comparisons.registry import Cost
from comparisons.result import Expected, Result, Verdict, now
from loadtests.judging.declared import Declared
from loadtests.reporting.reference import (
    FINDINGS,
    MORE_FINDINGS,
    PICTURED,
    QUESTION_FINDINGS,
    REQUEST_PATH_FINDINGS,
    Finding,
    finding,
    most_telling,
    not_held,
)

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


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (
            "It serves {factor} times as much.",
            "- ? It serves 6.3 times as much. (95 % sure of 0.48 to 12; `blocking-call`)",
        ),
        (
            "It serves {percent} % of it.",
            "- ? It serves 628 % of it. (95 % sure of 48 to 1249 %; `blocking-call`)",
        ),
    ],
)
def test_finding_has_its_figures_as_one_says_them(said, line):
    one = replace(OPEN, expectation="a throughput of b", measured=6.284, low=0.4811, high=12.49)
    result = Result(started=now(), verdicts=[one])
    assert finding(result, Finding("blocking-call", "a throughput", said)) == line


def test_all_that_does_not_hold_is_listed_the_refuted_first():
    listed = not_held(Result(started=now(), verdicts=[SMALL, INVALID, OPEN, REFUTED, LARGE]))
    assert [line[2] for line in listed.splitlines()[2:]] == ["✗", "?", "–"]
    assert "async_native's server has 100 threads" in listed


def test_nothing_is_listed_where_all_holds():
    assert not_held(Result(started=now(), verdicts=[SMALL])) == "All hold."


def test_findings_are_declared_expectations():
    """So that a new reference run has a verdict for each."""
    for about in FINDINGS + REQUEST_PATH_FINDINGS + QUESTION_FINDINGS + MORE_FINDINGS:
        texts = [
            expected.text
            for expected in Declared.of(COMPARISONS[about.slug], Cost(5, 1), 0.01).expectations
        ]
        assert any(text.startswith(about.expectation) for text in texts), about


def test_pictured_are_declared_variants():
    for panel in chain(*PICTURED.values()):
        variants = {variant.name for variant in COMPARISONS[panel.slug].variants}
        assert set(panel.bars) <= variants, panel.slug
