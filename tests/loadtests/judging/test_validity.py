"""Which made-up rounds count, and why others do not."""

from dataclasses import replace

import pytest

from loadtests.judging.rounds import Sample
from loadtests.judging.validity import agreed_digest, why_invalid
from loadtests.orders import LEFT
from tests.support.made import BODY, made_round


def test_waiting_requests_count_if_they_wait_through_the_whole_window():
    """Each waits for 5 s, and so from 5 s before its answer; the window is from 100 to 101."""
    came_and_was_answered = {
        "in time": (97.0, 102.0),
        "in time, and sent early": (95.0, 104.5),
        "too late": (98.0, 105.5),
        "too early": (95.0, 100.5),
    }
    samples = [
        Sample(sent, 1000 * (end - sent), 200, BODY, None)
        for sent, end in came_and_was_answered.values()
    ]
    round_ = made_round(samples=samples, waiting=True, wait=5.0, users=4)
    assert round_.answers() == samples[:2]
    assert why_invalid(round_, BODY) == ["2 of 4 requests waited at once"]


def worker(**more):
    """What one of several load generators had to do: nothing that is too much."""
    at_ease = {"cpu": 0.5, "answers_per_s": 100, "capacity": 1_000, "uncertain_ms": 0.5}
    return {"name": "load1", **at_ease, **more}


def failed(samples, error):
    return [sample._replace(error=error) for sample in samples]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"samples": failed(made_round().samples, "status 500")},
            "106 of 106 answers failed: status 500",
        ),
        (
            {"bystander": failed(made_round().bystander, "status 503")},
            "1 of 1 bystander's answers failed: status 503",
        ),
        ({"samples": made_round().samples[:7]}, "only 2 answers"),
        ({"generator_cpu": 0.95}, "load generator used 95%"),
        ({"generators": [worker(), worker(cpu=0.95)]}, "load generator load1 used 95%"),
        ({"generators": [worker(answers_per_s=801)]}, "load1 is near its limit of 1000"),
        ({"generators": [worker(uncertain_ms=11)]}, "clock of the load generator load1 is known"),
        ({"wait": 0.1}, "more than 6 users who wait can have"),
        ({"broken": ["asgi-uvicorn died (signal 9)"]}, "died"),
        (
            {"samples": [s._replace(digest=99) for s in made_round().samples]},
            "another body",
        ),
    ],
)
def test_round_that_cannot_be_trusted_says_why(changes, reason):
    (because,) = why_invalid(made_round(**changes), BODY)
    assert reason in because


def test_failures_that_are_the_lesson_leave_a_round_valid():
    samples = failed(made_round().samples, "status 503")
    assert why_invalid(made_round(samples=samples, may_fail=True), BODY) == []


def test_requests_that_their_users_left_leave_a_round_valid():
    samples = failed(made_round().samples, LEFT)
    assert why_invalid(made_round(samples=samples), BODY) == []


def test_refused_bystander_of_who_may_fail_leaves_a_round_valid():
    bystander = failed(made_round().bystander, "status 503")
    assert why_invalid(made_round(bystander=bystander, may_fail=True), BODY) == []


def test_open_loop_may_have_more_answers_than_one_user_who_waits():
    assert why_invalid(made_round(rate=100.0, users=1, wait=0.05), BODY) != []
    assert why_invalid(replace(made_round(users=1, wait=0.05), rate=100.0), BODY) == []


def test_sound_round_counts():
    assert why_invalid(made_round(), BODY) == []
    assert why_invalid(made_round(generators=[worker(), worker(name="load2")]), BODY) == []


def test_variant_that_answers_otherwise_is_in_the_wrong():
    other = [s._replace(digest=99) for s in made_round(rate=500.0).samples]
    rounds = [made_round("sync"), made_round("async_native"), made_round("liar", samples=other)]
    assert agreed_digest(rounds) == BODY
    assert [bool(why_invalid(round_, BODY)) for round_ in rounds] == [False, False, True]
