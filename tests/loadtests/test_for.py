"""`compare --for MINUTES`: what is measured on, and until when."""

import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import ndtri

from comparisons.confidence import confidence_at
from comparisons.pairs import COMPARISONS, blocking_call
from loadtests.judging import verdicts
from loadtests.judging.declared import Declared
from loadtests.judging.intervals import trimmed_mean
from loadtests.running.run import in_doubt_within
from loadtests.running.schedule import (
    FULL,
    MIN_QUICK_S,
    QUICK,
    FirstLooks,
    Shares,
    quick_seconds,
)
from tests.support.made import made_round

OWN_BLOCKS = QUICK.looks[-1]
AT_LEAST_3 = [
    expectation
    for expectation in blocking_call.comparison.expectations
    if (expectation.variant, expectation.of) == ("async_native", "async_blocking")
]
DECLARED = Declared.of(replace(blocking_call.comparison, expectations=AT_LEAST_3))
PLAN = QUICK.longer()


def undecided(blocks):
    """So many rounds of two views of which one is as quick as the other, now and then."""
    rates = (10, 90, 30, 70)
    return [
        made_round(name, block, rates[(block + shift) % 4])
        for block in range(1, blocks + 1)
        for shift, name in enumerate(("async_native", "async_blocking"))
    ]


@pytest.mark.parametrize("plan", [FULL, QUICK])
def test_longer_plan_goes_on_in_the_steps_of_the_last_looks(plan):
    longer = plan.longer()
    assert longer.looks[: len(plan.looks)] == plan.looks
    steps = {after - before for before, after in pairwise(longer.stops[len(plan.looks) - 1 :])}
    assert steps == {plan.looks[-1] - plan.looks[-2]}
    assert set(longer.looks) < set(longer.stops)
    assert longer.looks[-1] == longer.stops[-1] > 500


@pytest.mark.parametrize("plan", [FULL, QUICK])
def test_interval_of_each_look_to_come_is_narrower_by_fifteen_percent(plan):
    """Of rounds that spread alike, though each look has to be surer than the one before."""
    looks = plan.longer().looks
    spread = [ndtri((np.arange(look) + 0.5) / look) for look in looks]
    found = [trimmed_mean(values, confidence_at(n)) for n, values in enumerate(spread, 1)]
    widths = [interval.high - interval.low for interval in found]
    for before, after in pairwise(widths[len(plan.looks) - 1 :]):
        assert after < 0.85 * before


def test_what_comes_after_a_look_waits_for_the_next(monkeypatch):
    def blocks_of(_declared, measured, _looks):
        return {round_.block for round_ in measured}

    monkeypatch.setattr(verdicts, "in_doubt", blocks_of)
    budget = begun(Shares(seconds=60, comparisons=1))
    in_doubt = in_doubt_within(budget, DECLARED, OWN_BLOCKS, PLAN)
    *_, look, between, next_look = PLAN.stops[:5]
    assert {look, next_look} < {*PLAN.looks}
    assert between in PLAN.between
    assert max(in_doubt(undecided(between))) == look
    assert max(in_doubt(undecided(next_look))) == next_look


def test_every_look_is_stricter_than_the_one_before():
    confidences = [confidence_at(look) for look in range(1, len(FULL.longer().looks))]
    assert confidences == sorted(confidences)


@pytest.fixture
def clock(monkeypatch):
    """What time.monotonic() tells; a test sets it forward."""
    seconds = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: seconds[0])
    return seconds


def begun(budget):
    budget.begin()
    return budget


def test_what_is_undecided_is_measured_on_while_there_is_time(clock):
    budget = begun(Shares(seconds=60, comparisons=1, began=0))
    in_doubt = in_doubt_within(budget, DECLARED, OWN_BLOCKS, PLAN)
    assert in_doubt(undecided(OWN_BLOCKS))
    assert in_doubt(undecided(OWN_BLOCKS + 4))


def test_nothing_is_measured_on_when_the_time_is_spent(clock):
    budget = begun(Shares(seconds=60, comparisons=1, began=0))
    in_doubt = in_doubt_within(budget, DECLARED, OWN_BLOCKS, PLAN)
    clock[0] = 61
    assert in_doubt(undecided(OWN_BLOCKS - 4))  # the plan's own looks take their time
    assert in_doubt(undecided(OWN_BLOCKS)) == ()


def test_time_is_shared_by_the_comparisons_that_are_left(clock):
    budget = Shares(seconds=100, comparisons=2, began=0)
    clock[0] = 20
    assert begun(budget).end == 20 + 80 / 2
    clock[0] = 50
    assert begun(budget).end == 100


def test_quick_run_looks_again_if_the_first_looks_to_come_and_this_one_fit_its_seconds(clock):
    budget = begun(FirstLooks(seconds=40, comparisons=3, began=0))
    clock[0] = 10  # 10 more for this one, and 20 are to come
    assert budget.is_left()
    clock[0] = 10.5
    assert not budget.is_left()


def test_time_of_second_looks_is_no_measure_of_first_looks_to_come(clock):
    budget = begun(FirstLooks(seconds=100, comparisons=3, began=0))
    clock[0] = 10
    assert budget.is_left()
    clock[0] = 60  # 50 for the second look
    begun(budget)
    clock[0] = 70
    assert budget.is_left()  # 10 + 10 more
    clock[0] = 81
    assert not budget.is_left()


def test_comparison_that_comes_to_no_look_leaves_its_time_to_the_others(clock):
    budget = begun(FirstLooks(seconds=21, comparisons=2, began=0))
    clock[0] = 1  # it could not be measured
    begun(budget)
    clock[0] = 11
    assert budget.is_left()


def test_quick_run_measures_everything_once_and_nothing_again_when_its_time_is_spent(clock):
    first = QUICK.looks[0]
    budget = begun(FirstLooks(seconds=60, comparisons=1, began=0))
    in_doubt = in_doubt_within(budget, DECLARED, first, PLAN)
    clock[0] = 30
    assert in_doubt(undecided(first))
    clock[0] = 31
    assert in_doubt(undecided(first)) == ()


def test_quick_run_has_less_than_ten_minutes_for_all_and_a_minute_for_a_few():
    assert quick_seconds(len(COMPARISONS)) < 10 * 60
    assert quick_seconds(1) == quick_seconds(5) == MIN_QUICK_S
