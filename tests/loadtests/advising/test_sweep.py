"""From one user to saturation, and where it ends."""

from contextlib import closing

import pytest

from comparisons.advice import Step
from loadtests.advising import sweep as module
from loadtests.advising.advice import comparison_of, row_of
from loadtests.advising.sweep import is_saturated, sweep
from loadtests.asks import Ask
from tests.support.elsewhere import deployments

ONE = comparison_of([("loop", "asgi")], base="loop", users=7)


def steps(*rates, failed=0.0):
    return [
        Step(2**n, rate, 1, 1, 1, 0, failed if rate == rates[-1] else 0)
        for n, rate in enumerate(rates)
    ]


@pytest.mark.parametrize(
    ("rates", "saturated"),
    [
        ((100,), False),
        ((100, 101), False),
        ((100, 200, 210), False),
        ((100, 200, 210, 240), False),  # the second doubling brought something again
        ((100, 200, 210, 215), True),
        ((100, 200, 150, 160), True),  # more than before, and less than at best
        ((0,), True),
    ],
)
def test_saturated_is_what_two_doublings_bring_nothing_to(rates, saturated):
    assert is_saturated(steps(*rates)) is saturated


def test_more_failures_than_a_tenth_end_it():
    assert not is_saturated(steps(100, 200, failed=0.1))
    assert is_saturated(steps(100, 200, failed=0.11))


@pytest.fixture
def row(tmp_path):
    return row_of(ONE, "loop", deployments(tmp_path)["asgi"], [Ask("/a/"), Ask("/created/")])


def test_users_double_on_one_server_until_the_limit(generator, row, monkeypatch):
    monkeypatch.setattr(module, "is_saturated", lambda _: False)
    monkeypatch.setattr(module, "_is_the_generators", lambda _: False)
    with closing(sweep(ONE, row, generator, limit=5)) as sweeping:
        found = list(sweeping)
    assert [step.users for step in found] == [1, 2, 4]
    assert all(step.throughput and step.p50_ms and step.cpu for step in found)
    assert {step.failed for step in found} == {0}


def test_what_limits_the_load_generator_is_no_step(generator, row, monkeypatch):
    seen = iter([False, True])
    monkeypatch.setattr(module, "is_saturated", lambda _: False)
    monkeypatch.setattr(module, "_is_the_generators", lambda _: next(seen))
    assert [step.users for step in sweep(ONE, row, generator)] == [1]
