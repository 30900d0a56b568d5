"""Planted lies, on real servers under real load: each costs the liar a verdict, and honesty none.

Every run has its number of rounds, decided beforehand. Two comparisons stand for all; long tests
take every one that has a remedy and a pitfall.
"""

from contextlib import suppress
from dataclasses import replace

import pytest

from comparisons.pairs import COMPARISONS, connections
from comparisons.registry import Comparison, Expectation
from loadtests.running.schedule import Plan
from loadtests.running.warming import ViewError
from tests.support.rounds import judged, measured_rounds

FEW, MANY = Plan(window=0.4, looks=(3,)), Plan(window=0.4, looks=(6,))


def pitfalls_of(comparison: Comparison) -> set[str]:
    return {variant.name for variant in comparison.variants if variant.pitfall}


def against_pitfalls(comparison: Comparison) -> list[Expectation]:
    """That async remedies are better than a pitfall, in the first case of users and distance.

    A remedy with the pitfall's own view is only served in another way: its body would be no lie.
    """
    views = [v.view for v in comparison.variants if v.pitfall]
    remedies = {
        v.name for v in comparison.variants if v.is_async and not v.pitfall and v.view not in views
    }
    return [
        expectation
        for expectation in comparison.expectations
        if expectation.variant in remedies
        and expectation.of in pitfalls_of(comparison)
        and comparison.case(expectation) == comparison.cases[0]
        and says_better(expectation, comparison.cases[0][0])
    ]


def says_better(expectation: Expectation, users: int) -> bool:
    """Whether it would not hold of two that are alike: no "the same", and no "not much worse"."""
    low, high = expectation.bounds(users)
    return not expectation.takes_slack and ((low or 0) > 1 or (high or 1) < 1)


def against_remedies(comparison: Comparison, name: str) -> list[Expectation]:
    """In which another variant is compared with this one, and both should be as good."""
    others = {v.name for v in comparison.variants} - pitfalls_of(comparison)
    return [e for e in comparison.expectations if name in (e.variant, e.of) and e.of in others]


WITH_REMEDY = [slug for slug, comparison in COMPARISONS.items() if against_pitfalls(comparison)]
FIRST = ("blocking-call", "sequential-awaits")
CLEAR = [
    pytest.param(slug, marks=pytest.mark.long) for slug in ("blocking-call", "sequential-awaits")
]


def verdicts_with(lie, liar, comparison, expectations, plan, generator):
    """The verdicts of these expectations after the plan's rounds, in which one view tells a lie.

    With only the variants that these need, and no more users than show it.
    """
    needed = {name for e in expectations for name in (e.variant, e.of)}
    environ = {
        "DJANGO_SETTINGS_MODULE": "tests.support.lying_settings",
        "LIE": f"{comparison.slug}/{liar} {lie}",
    }
    users, trip = comparison.cases[0]
    small = replace(
        comparison,
        users=min(users, 4),
        round_trip=trip,
        variants=[
            replace(v, environ=environ | dict(v.environ)) if v.name == liar else v
            for v in comparison.variants
            if v.name in needed
        ],
        expectations=[replace(e, users=None, round_trip=None) for e in expectations],
    )
    measured = []
    with suppress(ViewError):  # its rounds say why they were not measured
        measured_rounds(small, generator, plan=plan, found=measured)
    return [verdict.outcome for verdict in judged(small, measured, plan)]


def as_the_pitfall(lie, slug, generator, plan):
    """The verdicts of what is expected of a remedy against a pitfall."""
    expectations = against_pitfalls(COMPARISONS[slug])
    liar = expectations[0].variant
    of_liar = [e for e in expectations if e.variant == liar]
    lie = expectations[0].of if lie == "pitfall" else lie  # it has the body of that very pitfall
    return verdicts_with(lie, liar, COMPARISONS[slug], of_liar, plan, generator)


@pytest.mark.parametrize("slug", CLEAR)
def test_remedy_that_is_the_pitfall_is_refuted(slug, generator):
    """Six rounds, because noise must not hide it on a busy machine either."""
    assert "refuted" in as_the_pitfall("pitfall", slug, generator, MANY)


@pytest.mark.long
@pytest.mark.parametrize("slug", sorted(set(WITH_REMEDY) - set(FIRST)))
def test_remedy_that_is_the_pitfall_loses_a_verdict(slug, generator):
    """Where the difference is small, so few rounds may not refute it."""
    assert set(as_the_pitfall("pitfall", slug, generator, FEW)) != {"holds"}


@pytest.mark.long
@pytest.mark.parametrize("slug", FIRST)
def test_honest_remedy_is_not_refuted(slug, generator):
    """Of comparisons whose claims surely hold: elsewhere a refuted one may be the truth."""
    assert set(as_the_pitfall("none", slug, generator, FEW)) <= {"holds", "inconclusive"}


@pytest.mark.parametrize("slug", [FIRST[0], *CLEAR[1:]])
def test_variant_with_another_body_is_invalid(slug, generator):
    comparison = COMPARISONS[slug]
    liar = against_pitfalls(comparison)[0].variant
    about = against_remedies(comparison, liar)
    assert set(verdicts_with("body", liar, comparison, about, FEW, generator)) == {"invalid"}


# Of comparisons that say "no difference", but for what a request costs.
SLOW = [("sequential-awaits", "async_task_group"), ("blocking-call", "async_native")]


@pytest.mark.long
@pytest.mark.parametrize(("slug", "liar"), SLOW)
def test_variant_that_is_slower_by_half_does_not_hold(slug, liar, generator):
    about = against_remedies(COMPARISONS[slug], liar)
    assert "holds" not in verdicts_with("slow", liar, COMPARISONS[slug], about, MANY, generator)


@pytest.mark.long
@pytest.mark.parametrize(("slug", "liar"), SLOW)
def test_variant_that_is_no_slower_is_not_refuted(slug, liar, generator):
    about = against_remedies(COMPARISONS[slug], liar)
    found = verdicts_with("none", liar, COMPARISONS[slug], about, MANY, generator)
    assert set(found) <= {"holds", "inconclusive"}


@pytest.mark.long
def test_variant_that_is_slower_by_a_fifth_does_not_hold(generator):
    """Where a request waits for 100 ms, and may cost 15 beside."""
    slug, liar = "blocking-call", "async_native"
    about = against_remedies(COMPARISONS[slug], liar)
    found = verdicts_with("fifth", liar, COMPARISONS[slug], about, MANY, generator)
    assert "holds" not in found


def test_pool_one_larger_than_its_limit_is_refuted(generator):
    """Of twenty users one more than may have a connection has one."""
    whole = connections.comparison
    (variant,) = (v for v in whole.variants if v.name == "async_native")
    larger = variant.environ | {"POOL_SIZE": str(connections.POOL + 1)}
    (limit,) = (
        e for e in whole.expectations if (e.variant, e.metric) == ("async_native", "connections")
    )
    small = replace(
        whole,
        users=connections.CROWD,
        variants=[replace(variant, environ=larger)],
        expectations=[limit],
    )
    plan = Plan(window=0.4, looks=(2,))
    (verdict,) = judged(small, measured_rounds(small, generator, plan=plan), plan)
    assert (verdict.outcome, verdict.measured) == ("refuted", connections.POOL + 1)
