"""Verdicts from made-up rounds: which interval against which bounds."""

from dataclasses import replace
from math import ceil, log

import pytest

from comparisons.pairs import blocking_call
from comparisons.registry import NEAR, SAME, Cost, Expectation
from loadtests.judging.declared import Declared, expected
from loadtests.judging.intervals import Interval
from loadtests.judging.verdicts import (
    MANY_ROUNDS,
    in_doubt,
    judge_comparison,
    judge_expectation,
    outcome_of,
)
from tests.support.made import made_round

COST = Cost(latency_ms=5, cpu_ms=1)
ONE_LOOK = (3,)


@pytest.mark.parametrize(
    ("interval", "bounds", "outcome"),
    [
        ((5, 6), (5, None), "holds"),
        ((4, 6), (5, None), "inconclusive"),
        ((3, 4.9), (5, None), "refuted"),
        ((0.1, 0.2), (None, 0.2), "holds"),
        ((0.3, 0.4), (None, 0.2), "refuted"),
        ((0.95, 1.05), (0.9, 1.1), "holds"),
        ((0.85, 1.05), (0.9, 1.1), "inconclusive"),
        ((0.5, 2.0), (0.9, 1.1), "inconclusive"),
        ((1.2, 1.3), (0.9, 1.1), "refuted"),
    ],
)
def test_interval_holds_inside_the_bounds_and_is_refuted_outside(interval, bounds, outcome):
    assert outcome_of(Interval(1, *interval), *bounds) == outcome


def verdict(expectation, rounds, looks=ONE_LOOK):
    asked = expected(expectation, blocking_call.comparison, COST, None)
    return judge_expectation(asked, rounds, looks)


def expect(metric, **bounds):
    """An expectation of `async_native`."""
    return Expectation(blocking_call.async_native, metric, why="theory", **bounds)


AT_LEAST_5 = expect("throughput", of=blocking_call.async_blocking, at_least=5)


def judged(native, blocking, expectation=AT_LEAST_5):
    rounds = [made_round("async_native", b, rate) for b, rate in enumerate(native, 1)]
    rounds += [made_round("async_blocking", b, rate) for b, rate in enumerate(blocking, 1)]
    return verdict(expectation, rounds)


def test_factor_well_above_the_threshold_holds():
    found = judged([95, 96, 97], [10, 10, 10])
    assert found.outcome == "holds"
    assert found.low < found.measured < found.high


def test_factor_well_below_the_threshold_is_refuted():
    assert judged([30, 31, 30], [10, 10, 10]).outcome == "refuted"


def test_remedy_that_is_the_pitfall_is_refuted():
    assert judged([10, 10, 11], [10, 10, 10]).outcome == "refuted"


@pytest.mark.parametrize(("slots", "outcome"), [(4, "holds"), (1, "refuted")])
def test_who_serves_less_than_a_queue_for_the_cpu_is_short_of_something_else(slots, outcome):
    """Four users wait 50 ms and take 5 ms of CPU each: 57 requests a second where all wait at once,
    and 18 in one slot.
    """
    rate = min(4 / 0.060, slots / 0.055)
    rounds = [made_round(block=block, rate=rate, users=4, bystander=[]) for block in (1, 2, 3)]
    rounds = [
        replace(r, server=replace(r.server, cpu_seconds=0.005 * len(r.answers()))) for r in rounds
    ]
    asked = expected(
        expect("throughput", of="queue", at_least=1), blocking_call.comparison, COST, None
    )
    found = judge_expectation(replace(asked, users=4), rounds, ONE_LOOK)
    assert found.outcome == outcome


def test_rounds_in_which_nobody_is_served_tell_nothing_of_a_queue():
    failed = [sample._replace(error="status 500") for sample in made_round().samples]
    rounds = [made_round(block=b, samples=failed, may_fail=True) for b in (1, 2, 3)]
    found = verdict(expect("throughput", of="queue", at_least=1), rounds)
    assert (found.outcome, found.because) == (
        "invalid",
        "throughput was measured in no two rounds",
    )


def test_scattered_rounds_are_inconclusive():
    assert judged([20, 90, 55], [10, 10, 10]).outcome == "inconclusive"


def test_rounds_too_scattered_for_how_sure_one_is_to_be_need_many_more():
    """The ends of the interval are floats, their ratio is none."""
    rounds = [made_round("async_native", b, rate) for b, rate in enumerate((5, 90, 500), 1)]
    rounds += [made_round("async_blocking", b, 10) for b in (1, 2, 3)]
    asked = expected(AT_LEAST_5, blocking_call.comparison, COST, None)
    found = judge_expectation(asked, rounds, ONE_LOOK, alpha=0.003)
    assert found.outcome == "inconclusive"
    assert found.needed_rounds == MANY_ROUNDS


def test_each_deployment_of_a_view_has_a_verdict_that_names_it():
    """Against the other side on the same deployment where it was measured there too."""
    expectations = [
        AT_LEAST_5,
        expect("throughput", of=blocking_call.sync, at_least=5),
    ]
    declared = Declared.of(replace(blocking_call.comparison, expectations=expectations))
    rates = {
        ("async_native", "asgi-uvicorn"): 95,
        ("async_blocking", "asgi-uvicorn"): 10,
        ("async_native", "asgi-gunicorn"): 30,
        ("async_blocking", "asgi-gunicorn"): 10,
        ("sync", "wsgi-threads"): 5,
    }
    rounds = [
        made_round(name, block, rate, deployment=deployment)
        for (name, deployment), rate in rates.items()
        for block in (1, 2, 3)
    ]
    found = {
        verdict.expectation: verdict for verdict in judge_comparison(declared, rounds, ONE_LOOK)
    }
    outcomes = {name: verdict.outcome for name, verdict in found.items()}
    assert outcomes == {
        "async_native throughput of async_blocking at least 5 on asgi-gunicorn": "refuted",
        "async_native throughput of async_blocking at least 5 on asgi-uvicorn": "holds",
        "async_native throughput of sync at least 5 on asgi-gunicorn": "holds",
        "async_native throughput of sync at least 5 on asgi-uvicorn": "holds",
    }


def test_only_the_rows_of_an_undecided_expectation_are_in_doubt():
    comparison = replace(
        blocking_call.comparison,
        expectations=[
            AT_LEAST_5,
            Expectation("sync", "throughput", of="async_native", at_most=20, why="theory"),
        ],
    )
    rates = {"async_native": (20, 90, 55), "async_blocking": (10, 10, 10), "sync": (9, 9, 9)}
    rounds = [made_round(name, b, rate) for name in rates for b, rate in enumerate(rates[name], 1)]
    (case,) = comparison.cases
    assert in_doubt(Declared.of(comparison), rounds, (3, 1_000)) == {
        ("async_native", *case),
        ("async_blocking", *case),
    }


def test_what_the_looks_to_come_would_hardly_decide_is_not_measured_on():
    """It lies on its bound: hundreds of rounds would be needed, and the plan has three."""
    rounds = [made_round("async_native", b, rate) for b, rate in enumerate((40, 50, 62), 1)]
    rounds += [made_round("async_blocking", b, 10) for b in (1, 2, 3)]
    comparison = replace(blocking_call.comparison, expectations=[AT_LEAST_5])
    assert verdict(AT_LEAST_5, rounds).needed_rounds > 100
    assert in_doubt(Declared.of(comparison), rounds, ONE_LOOK) == set()
    assert len(in_doubt(Declared.of(comparison), rounds, (3, 1_000))) == 2


def test_expectation_of_an_unmeasured_variant_has_no_verdict():
    rounds = [made_round(block=1), made_round(block=2)]
    assert verdict(AT_LEAST_5, rounds) is None


def test_wait_is_compared_in_milliseconds():
    expectation = expect("latency", of="wait", between=(0.9, 1.1))
    found = verdict(expectation, [made_round(block=b) for b in (1, 2, 3)])
    assert (found.outcome, found.measured) == ("holds", pytest.approx(1))


def test_expectation_without_another_side_is_of_the_value_itself():
    rounds = [made_round(block=block) for block in (1, 2, 3)]
    assert verdict(expect("bystander", at_most=5), rounds).measured == pytest.approx(3)


def test_side_without_enough_valid_rounds_makes_the_verdict_invalid():
    rounds = [made_round("async_native", b, 95) for b in (1, 2, 3)]
    rounds += [made_round("async_blocking", b, 10, generator_cpu=1.0) for b in (1, 2, 3)]
    found = verdict(AT_LEAST_5, rounds)
    assert found.outcome == "invalid"
    assert "async_blocking: the load generator" in found.because


# --- Limits: never more than


def with_server(block, **changes):
    """A round whose server used this."""
    round_ = made_round(block=block, may_fail=True)
    return replace(round_, server=replace(round_.server, **changes))


AT_MOST_8 = expect("connections", at_most=8)


def test_one_round_beyond_a_limit_refutes_it():
    """A pool that is one larger than it may be, in one round of eight."""
    rounds = [with_server(block, db_connections=9 if block == 5 else 8) for block in range(1, 9)]
    found = verdict(AT_MOST_8, rounds, (8,))
    assert (found.outcome, found.measured, found.low, found.high) == ("refuted", 9, 8, 9)


def test_rounds_within_a_limit_decide_it_however_they_differ():
    rounds = [with_server(block, db_connections=n) for block, n in enumerate((3, 4, 4), 1)]
    found = verdict(expect("connections", at_most=4), rounds)
    assert (found.outcome, found.measured) == ("holds", 4)


def test_limit_from_below_is_the_least_of_all_rounds():
    rounds = [with_server(block, threads=n) for block, n in enumerate((100, 105, 99), 1)]
    found = verdict(expect("threads", at_least=100), rounds)
    assert (found.outcome, found.measured) == ("refuted", 99)


# --- Shares: so many of so many


def failing(block, share, rate=100.0):
    """A round of which so many answers fail, evenly spread."""
    samples = [
        sample._replace(error="status 503") if (place * share) % 1 + share >= 1 else sample
        for place, sample in enumerate(made_round(rate=rate).samples)
    ]
    return made_round(block=block, rate=rate, samples=samples, may_fail=True)


NONE_FAILS = expect("failures", at_most=0)


def test_one_round_in_eight_with_failures_refutes_that_none_fails():
    rounds = [failing(block, 0.5 if block == 5 else 0) for block in range(1, 9)]
    found = verdict(NONE_FAILS, rounds, (8,))
    assert (found.outcome, found.low > 0) == ("refuted", True)


def test_none_of_many_answers_holds_and_says_which_share_is_excluded():
    rounds = [failing(block, 0) for block in (1, 2, 3)]
    found = verdict(NONE_FAILS, rounds)
    # Of 3 x 106 answers none: 1 - (0.1 / 3 / 2) ** (1 / 318) at the first look's 96.7 %.
    assert (found.outcome, found.answers, found.measured, found.low) == ("holds", 318, 0, 0)
    assert found.high == pytest.approx(1 - (0.05 / 3) ** (1 / 318), rel=1e-4)


def test_none_of_few_answers_is_no_certainty():
    rounds = [failing(block, 0, rate=3.0) for block in (1, 2, 3)]
    found = verdict(NONE_FAILS, rounds)
    assert (found.outcome, found.answers) == ("inconclusive", 27)
    # ln(0.05 / 3) / ln(0.9) = 38.9
    assert found.open_because == "39 answers of which none fails"


def test_share_of_failures_is_never_more_than_one():
    rounds = [failing(block, share) for block, share in enumerate((1, 0.9, 1, 1), 1)]
    found = verdict(expect("failures", at_least=0.5), rounds, (4,))
    assert found.outcome == "holds"
    assert 0.5 < found.low < found.measured < found.high <= 1


# --- What is served is what succeeded


def test_failed_answers_are_no_throughput():
    """A pitfall that refuses three of four serves less than the remedy that is half as quick."""
    rounds = [failing(block, 0) for block in (1, 2, 3)]
    rounds += [
        replace(failing(block, 0.75, rate=200.0), variant="async_blocking") for block in (1, 2, 3)
    ]
    found = verdict(expect("throughput", of=blocking_call.async_blocking, at_least=1.5), rounds)
    assert found.outcome == "holds"
    assert found.measured == pytest.approx(2, rel=0.02)


# --- What was not measured


def test_pool_wait_that_nobody_measured_is_not_zero():
    rounds = [with_server(block, pool_wait_ms=None) for block in (1, 2, 3)]
    found = verdict(expect("pool_wait", at_most=10), rounds)
    assert (found.outcome, found.because) == ("invalid", "pool_wait was measured in no two rounds")


def test_pool_wait_is_known_to_its_resolution_only():
    rounds = [with_server(block, pool_wait_ms=0) for block in (1, 2, 3)]
    found = verdict(expect("pool_wait", at_most=0.5), rounds)
    assert (found.outcome, found.low, found.high) == ("inconclusive", 0, 1)


# --- Ceilings


def test_ceiling_of_cores_can_be_refuted():
    """GIL-bound work of 20 ms in one process that serves 100 a second is a finding, no error."""
    rounds = [made_round(block=b, ceiling=50.0, wait=None, work=0.02) for b in (1, 2, 3)]
    found = verdict(expect("throughput", of="ceiling", at_most=1), rounds)
    assert (found.outcome, found.measured) == ("refuted", pytest.approx(2))


def test_near_is_what_a_request_costs_here():
    # STRETCH 3 x 5 ms of 100 ms: 1 / 1.15
    near = expect("throughput", of="ceiling", at_least=NEAR)
    rounds = [made_round(block=b, ceiling=110.0, wait=0.05, users=6) for b in (1, 2, 3)]
    found = verdict(near, rounds)
    assert found.expected.low == pytest.approx(1 / 1.15)
    assert found.outcome == "holds"  # 100 of 110


def test_view_a_fifth_slower_is_not_the_same():
    same = expect("throughput", of=blocking_call.async_blocking, between=SAME)
    found = judged([79, 80, 81], [100, 100, 100], same)
    assert found.outcome == "refuted"
    assert found.expected.high == pytest.approx(1.15)


# --- Looks


def test_what_a_look_has_decided_stays_so():
    """Rows go on for another expectation; what they show later was not asked any more."""
    rates = (95, 96, 97, 20, 90, 10)
    rounds = [made_round("async_native", b, rate) for b, rate in enumerate(rates, 1)]
    rounds += [made_round("async_blocking", b, 10) for b in range(1, 7)]
    found = verdict(AT_LEAST_5, rounds, (3, 6))
    assert (found.outcome, found.rounds) == ("holds", 3)


def test_second_look_is_stricter_than_the_first():
    rounds = [made_round("async_native", b, r) for b, r in enumerate((60, 70, 80), 1)]
    rounds += [made_round("async_blocking", b, 10) for b in (1, 2, 3)]
    first, second = verdict(AT_LEAST_5, rounds, (3,)), verdict(AT_LEAST_5, rounds, (2, 3))
    assert second.low < first.low


def test_open_verdict_says_how_many_rounds_would_decide_it():
    """Its width has to shrink to the distance of its mean from the bound: by the root of rounds."""
    found = judged([50, 60, 72], [10, 10, 10])
    width, away = log(found.high / found.low) / 2, log(found.measured / 5)
    more = ceil(3 * (width / away) ** 2) - 3
    assert found.outcome == "inconclusive"
    assert found.open_because == f"about {more} more rounds like these"


# --- Repeats


def test_repeats_do_not_invalidate_the_row_that_they_save():
    """Three blocks, each disturbed twice and then measured well."""
    rounds = [made_round(block=b, steal=s) for b in (1, 2, 3) for s in (0.5, 0.5, 0.0)]
    found = verdict(expect("latency", of="wait", between=(0.9, 1.1)), rounds)
    assert (found.outcome, found.rounds) == ("holds", 3)
