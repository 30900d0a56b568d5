"""Verdicts from made-up rounds: which interval against which bounds."""

from dataclasses import replace

import pytest

from comparisons.pairs import blocking_call
from comparisons.registry import Expectation
from loadtests.judging.declared import Declared, Expected
from loadtests.judging.intervals import Interval
from loadtests.judging.verdicts import in_doubt, judge_comparison, judge_expectation, outcome_of
from tests.support.made import made_round


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


def verdict(comparison, expectation, rounds, confidence):
    return judge_expectation(Expected.of_comparison(expectation, comparison), rounds, confidence)


AT_LEAST_5 = Expectation(
    blocking_call.async_native, "throughput", of=blocking_call.async_blocking, at_least=5
)


def judged(native, blocking, expectation=AT_LEAST_5):
    rounds = [made_round("async_native", b, rate) for b, rate in enumerate(native)]
    rounds += [made_round("async_blocking", b, rate) for b, rate in enumerate(blocking)]
    return verdict(blocking_call.comparison, expectation, rounds, 0.95)


def test_factor_well_above_the_threshold_holds():
    found = judged([95, 96, 97], [10, 10, 10])
    assert found.outcome == "holds"
    assert found.low < found.measured < found.high


def test_factor_well_below_the_threshold_is_refuted():
    assert judged([30, 31, 30], [10, 10, 10]).outcome == "refuted"


def test_remedy_that_is_the_pitfall_is_refuted():
    assert judged([10, 10, 11], [10, 10, 10]).outcome == "refuted"


def test_scattered_rounds_are_inconclusive():
    assert judged([20, 90, 55], [10, 10, 10]).outcome == "inconclusive"


def test_each_deployment_of_a_view_has_a_verdict_that_names_it():
    """Against the other side on the same deployment where it was measured there too."""
    expectations = [
        AT_LEAST_5,
        Expectation(blocking_call.async_native, "throughput", of=blocking_call.sync, at_least=5),
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
    found = {verdict.expectation: verdict for verdict in judge_comparison(declared, rounds, 0.95)}
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
            Expectation(blocking_call.sync, "throughput", of=blocking_call.async_native, at_most=2),
        ],
    )
    rates = {"async_native": (20, 90, 55), "async_blocking": (10, 10, 10), "sync": (9, 9, 9)}
    rounds = [made_round(name, b, rate) for name in rates for b, rate in enumerate(rates[name])]
    (case,) = comparison.cases
    assert in_doubt(Declared.of(comparison), rounds, 0.95) == {
        ("async_native", *case),
        ("async_blocking", *case),
    }


def test_expectation_of_an_unmeasured_variant_has_no_verdict():
    rounds = [made_round(block=1), made_round(block=2)]
    assert verdict(blocking_call.comparison, AT_LEAST_5, rounds, 0.95) is None


def test_wait_is_compared_in_milliseconds():
    expectation = Expectation(blocking_call.async_native, "latency", of="wait", between=(0.9, 1.1))
    found = verdict(
        blocking_call.comparison, expectation, [made_round(block=b) for b in (1, 2, 3)], 0.95
    )
    assert (found.outcome, found.measured) == ("holds", pytest.approx(1))


def test_expectation_without_another_side_is_of_the_value_itself():
    none_fail = Expectation(blocking_call.async_native, "failures", at_most=0)
    rounds = [made_round(block=block) for block in (1, 2, 3)]
    assert verdict(blocking_call.comparison, none_fail, rounds, 0.95).outcome == "holds"


def test_side_without_enough_valid_rounds_makes_the_verdict_invalid():
    rounds = [made_round("async_native", b, 95) for b in (1, 2, 3)]
    rounds += [made_round("async_blocking", b, 10, generator_cpu=1.0) for b in (1, 2, 3)]
    found = verdict(blocking_call.comparison, AT_LEAST_5, rounds, 0.95)
    assert found.outcome == "invalid"
    assert "async_blocking: the load generator" in found.because
