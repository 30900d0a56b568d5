"""`compare --for MINUTES`: what is measured on, and until when."""

import time
from dataclasses import replace
from itertools import pairwise

from comparisons.pairs import COMPARISONS, blocking_call
from loadtests.judging.declared import Declared
from loadtests.judging.intervals import confidence_at
from loadtests.management.commands.compare import Budget, in_doubt_until
from loadtests.running.schedule import FULL, MIN_QUICK_S, QUICK, quick_seconds
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


def test_longer_plan_goes_on_in_the_steps_of_the_last_looks():
    assert PLAN.looks[: len(QUICK.looks)] == QUICK.looks
    steps = {after - before for before, after in pairwise(PLAN.looks)}
    assert steps == {QUICK.looks[-1] - QUICK.looks[-2]}
    assert PLAN.looks[-1] > 900


def test_every_look_is_stricter_than_the_one_before():
    confidences = [confidence_at(look) for look in range(1, len(FULL.longer().looks))]
    assert confidences == sorted(confidences)


def test_what_is_undecided_is_measured_on_while_there_is_time():
    in_doubt = in_doubt_until(time.monotonic() + 60, DECLARED, OWN_BLOCKS, PLAN)
    assert in_doubt(undecided(OWN_BLOCKS))
    assert in_doubt(undecided(OWN_BLOCKS + 4))


def test_nothing_is_measured_on_when_the_time_is_spent():
    in_doubt = in_doubt_until(time.monotonic() - 1, DECLARED, OWN_BLOCKS, PLAN)
    assert in_doubt(undecided(OWN_BLOCKS - 4))  # the plan's own looks take their time
    assert in_doubt(undecided(OWN_BLOCKS)) == ()


def test_time_is_shared_by_the_comparisons_that_are_left(monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 20.0)
    budget = Budget(seconds=100, began=0)
    assert [budget.share_ends(left) for left in (2, 1)] == [20 + 80 / 2, 100]


def test_time_that_is_spent_leaves_none():
    now = time.monotonic()
    assert Budget(seconds=100, began=now - 200).share_ends(1) <= time.monotonic()


def test_quick_run_measures_nothing_again_when_its_time_is_spent():
    """But everything once."""
    first = QUICK.looks[0]
    in_doubt = in_doubt_until(time.monotonic() - 1, DECLARED, first, PLAN)
    assert in_doubt(undecided(first)) == ()
    in_time = in_doubt_until(time.monotonic() + 60, DECLARED, first, PLAN)
    assert in_time(undecided(first))


def test_quick_run_measures_nothing_again_after_ten_minutes_and_has_time_for_a_few():
    assert quick_seconds(len(COMPARISONS)) < 10 * 60
    assert quick_seconds(1) == quick_seconds(5) == MIN_QUICK_S
