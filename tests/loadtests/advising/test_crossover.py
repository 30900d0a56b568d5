"""From where on an event loop serves more than threads: the bounds, solved by hand."""

import pytest

from comparisons.advice import Candidate
from loadtests.advising.candidates import Mix
from loadtests.advising.crossover import crossovers

EIGHT = Candidate("threads", "wsgi-threads", "wsgi", 1, 8, None, "gunicorn")


def mix(wait=0.1, cpu=0.001, queries=0.0):
    return Mix(wait=wait, cpu=cpu, queries=queries, connection=0, loop_held=0)


def found(on_threads, on_loop, users=4, threads=EIGHT, cores=2):
    return {one.over: one for one in crossovers(threads, on_threads, on_loop, users, cores)}


def test_loop_wins_with_more_users_than_threads():
    # both serve users / 0.101 s up to 8 users; threads no more, so 5 % are at 8.4 users
    over = found(mix(), mix())["users"]
    assert over.at == pytest.approx(8.4, abs=0.6)
    assert over.now == 4


def test_dear_loop_never_wins_where_the_cpu_limits_both():
    # threads: min(8 / 0.02, 1 / 0.01) = 100/s; the loop: 2 / 0.04 = 50/s
    over = found(mix(wait=0.01, cpu=0.01), mix(wait=0.01, cpu=0.04))["users"]
    assert over.at is None
    assert over.limit == 10_000


def test_waiting_longer_favours_the_loop_where_users_are_more_than_threads():
    # 16 users, CPU 10 and 20 ms: threads give min(8 / (Z + 0.01), 100), the loop
    # min(16 / (Z + 0.02), 100): it is ahead by 5 % from Z = 76 to 77 ms on
    over = found(mix(wait=0.02, cpu=0.01), mix(wait=0.02, cpu=0.02), users=16)["wait"]
    assert over.at == pytest.approx(75, abs=6)


def test_distance_counts_once_a_query():
    one = found(mix(wait=0.02, cpu=0.01, queries=1), mix(wait=0.02, cpu=0.02), users=16)
    four = found(mix(wait=0.02, cpu=0.01, queries=4), mix(wait=0.02, cpu=0.02), users=16)
    assert one["distance"].at == pytest.approx(4 * four["distance"].at, rel=0.1)


def test_distance_is_nothing_to_who_does_not_query():
    assert "distance" not in found(mix(), mix())


def test_more_users_than_threads_are_ahead_already():
    over = found(mix(), mix(), users=40)["wait"]
    assert over.at == over.now
