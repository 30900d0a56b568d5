"""Planted lies, on real servers under real load: each must cost the liar a verdict.

By default on three comparisons; LIES=all takes every comparison that there is.
"""

import os
from dataclasses import replace

import pytest

from comparisons.pairs import COMPARISONS
from comparisons.registry import Comparison, Variant
from loadtests import selection, verdicts
from loadtests.measure import load_generator, measure
from loadtests.schedule import Plan

# As many looks as a noisy machine may need; a quiet one decides at the first.
PLAN = Plan(window=0.4, looks=(3, 6, 12))

SLUGS = (
    list(COMPARISONS)
    if os.environ.get("LIES") == "all"
    else ["blocking-call", "sequential-awaits", "dependent-awaits"]
)


@pytest.fixture(scope="module")
def generator():
    with load_generator() as started:
        yield started


def remedy_of(comparison: Comparison) -> Variant:
    """An async variant that is no pitfall and of which something is expected against a pitfall."""
    pitfalls = {v.name for v in comparison.variants if v.pitfall}
    for expectation in comparison.expectations:
        remedy = next(v for v in comparison.variants if v.name == expectation.variant)
        if expectation.of in pitfalls and remedy.is_async:
            return remedy
    pytest.skip("no remedy is compared with a pitfall")


def verdicts_with(lie, liar, comparison, generator):
    """The verdicts that speak of the liar, measured until they are decided.

    With only the variants that these need, and no more users than show it.
    """
    pitfalls = {v.name for v in comparison.variants if v.pitfall}
    about = [e for e in comparison.expectations if liar.name in (e.variant, e.of)]
    if lie == "pitfall":
        about = [e for e in about if e.of in pitfalls]
    else:  # pitfalls are slow, and two honest variants do without them
        quick = [e for e in about if e.of not in pitfalls]
        about = quick if len({name for e in quick for name in (e.variant, e.of)}) > 2 else about
    needed = {name for e in about for name in (e.variant, e.of)}
    environ = {
        "DJANGO_SETTINGS_MODULE": "tests.lying_settings",
        "LIE": f"{comparison.slug}/{liar.name} {lie}",
    }
    users, trip = comparison.cases[0]
    small = replace(
        comparison,
        users=min(users, 4),
        round_trip=trip,
        variants=[
            replace(v, environ=environ | dict(v.environ)) if v.name == liar.name else v
            for v in comparison.variants
            if v.name in needed
        ],
        expectations=[
            replace(e, users=None, round_trip=None)
            for e in about
            if comparison.case(e) == (users, trip)
        ],
    )
    measured = []

    def found():
        return [verdict.verdict for verdict in verdicts.judged(small, measured, PLAN.confidence)]

    rows = selection.rows_of(small, [], None)
    measure(
        *(small, rows, PLAN, 1, generator),
        in_doubt=lambda: (
            [row.key for row in rows] if {"holds", "inconclusive"} & set(found()) else []
        ),
        keep=measured.append,
    )
    return found()


@pytest.mark.parametrize("slug", SLUGS)
def test_a_remedy_that_is_the_pitfall_is_refuted(slug, generator):
    comparison = COMPARISONS[slug]
    assert "refuted" in verdicts_with("pitfall", remedy_of(comparison), comparison, generator)


@pytest.mark.parametrize("slug", SLUGS)
def test_a_variant_with_another_body_is_invalid(slug, generator):
    comparison = COMPARISONS[slug]
    found = verdicts_with("body", remedy_of(comparison), comparison, generator)
    assert set(found) == {"invalid"}


@pytest.mark.parametrize("slug", ["blocking-call", "sequential-awaits"])
def test_a_variant_that_is_a_fifth_slower_is_refuted(slug, generator):
    """Of comparisons that say "no difference" with a tenth of room, or how near the ceiling."""
    comparison = COMPARISONS[slug]
    liar = next(v for v in reversed(comparison.variants) if v.is_async and not v.pitfall)
    assert "refuted" in verdicts_with("slow", liar, comparison, generator)
