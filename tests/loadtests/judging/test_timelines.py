"""What pictures of single requests rest on: the distribution, and a stretch of one round."""

from dataclasses import replace

import pytest

from comparisons.pairs import blocking_call
from comparisons.result import QUANTILES
from loadtests.judging.declared import Declared
from loadtests.judging.measurements import measurements
from loadtests.judging.rounds import Sample
from loadtests.judging.timelines import MOST_REQUESTS, timelines, typical
from tests.support.made import BODY, made_round


def sample(start, latency_ms, error=None):
    return Sample(100 + start, latency_ms, 200, BODY, error)


def of(*samples, **changes):
    return made_round(samples=list(samples), bystander=[], **changes)


def one(round_):
    (timeline,) = timelines([round_])
    return timeline


def test_distribution_has_the_latencies_at_its_quantiles():
    measured = [of(*(sample(0.1, float(ms)) for ms in range(101)), block=block) for block in (1, 2)]
    (row,) = measurements(Declared.of(blocking_call.comparison), measured)
    assert row.distribution == pytest.approx(QUANTILES, abs=0.6)
    assert len(QUANTILES) == 41


def test_view_that_only_fails_has_no_distribution():
    measured = [of(*[sample(0.1, 5, "no")] * 9, block=block, may_fail=True) for block in (1, 2)]
    (row,) = measurements(Declared.of(blocking_call.comparison), measured)
    assert row.distribution is None


def test_round_shown_is_the_one_with_the_median_throughput():
    rounds = [made_round(block=n, rate=rate) for n, rate in enumerate((30, 10, 40, 20), start=1)]
    assert typical(rounds).block == 4  # of four, the lower of the two in the middle
    assert typical([of()]) is None


def test_requests_are_whole_and_in_the_order_of_their_ends():
    found = one(of(sample(0, 100), sample(0.05, 300), sample(0.06, 100, "no"), sample(0.9, 100)))
    assert (found.length, found.of) == (300, 3)
    assert found.requests == [[0, 100, 0], [60, 100, 1], [50, 300, 0]]


def test_stretch_begins_with_the_round_when_all_users_come():
    found = one(of(*(sample(-0.5 + n / 100, 100) for n in range(3))))
    assert found.requests == [[0, 100, 0], [10, 100, 0], [20, 100, 0]]


def test_bystanders_calls_are_of_the_same_stretch():
    round_ = made_round(
        samples=[sample(0, 100)], bystander=[sample(-0.01, 20), sample(0.29, 3), sample(0.31, 3)]
    )
    assert one(round_).bystander == [[-10, 20], [290, 3]]


def test_stretch_is_three_of_the_slowest_rows_requests_and_the_same_for_all():
    fast, slow = of(sample(0, 10), sample(0.35, 10)), of(sample(0, 100))
    assert [(row.length, row.of) for row in timelines([fast, None, slow]) if row] == [
        (300, 1),
        (300, 1),
    ]


def test_stretch_ends_with_the_shortest_round():
    assert one(of(sample(0, 5000), closed=100.5)).length == 500


def test_stretch_is_short_where_many_requests_fall_into_it():
    many = of(*(sample(n / 100, 50) for n in range(200)))
    slow = of(sample(0, 500), closed=103.0)
    lengths = [row.length for row in timelines([replace(many, closed=103.0), slow])]
    assert lengths == [10 * MOST_REQUESTS, 10 * MOST_REQUESTS]


def test_stretch_holds_one_of_the_slowest_requests_and_of_too_many_others_some():
    many, slow = of(*(sample(n / 1000, 1) for n in range(1000))), of(sample(0, 200))
    crowded, alone = timelines([many, slow])
    assert crowded.length == alone.length == 300
    assert len(crowded.requests) == MOST_REQUESTS < 300 < crowded.of
    assert crowded.requests[0][0] < 5
    assert crowded.requests[-1][0] > 295


def test_where_there_are_too_many_requests_some_users_have_all_of_theirs():
    """Four users, a request after the other: 3 × 40 are too many, 2 × 40 are not."""
    users = [[sample(user / 1000 + n / 40, 20) for n in range(40)] for user in range(4)]
    slow = of(sample(0, 600))
    found, _ = timelines([of(*(request for user in users for request in user)), slow])
    starts = {start % 25 for start, _duration, _failed in found.requests}
    assert (len(found.requests), found.of, len(starts)) == (73, 145, 2)


def test_open_loop_is_shown_through_its_window():
    closed = of(*(sample(n / 100, 5 * n) for n in range(100)))
    found = one(replace(closed, rate=100.0))
    assert (found.length, found.of) == (1000, 100)


def test_where_all_wait_the_whole_round_is_shown():
    found = one(of(*(sample(-1 + n / 100, 3000) for n in range(100)), waiting=True))
    assert (found.length, found.of) == (3990, 100)
    assert len(found.requests) == MOST_REQUESTS
