"""Where a sweep ends to grow, and what is used up there."""

import pytest

from comparisons.advice import Candidate, Line, Step
from loadtests.advising.knee import gives_first, knee
from tests.loadtests.advising.test_candidates import profile


def steps(*throughputs, cpu=0.1, connections=0):
    return [
        Step(2**place, float(rate), 10, 20, cpu, connections, 0.0)
        for place, rate in enumerate(throughputs)
    ]


def candidate(interface="wsgi", workers=1, threads=8, pool=None):
    return Candidate("threads", "wsgi-threads", interface, workers, threads, pool, "gunicorn")


@pytest.mark.parametrize(
    ("throughputs", "expected"),
    [
        ((10, 20, 40, 41, 40), 4),  # no more from 4 users on
        ((10, 10, 10), 1),  # one after another
        ((10, 20, 40), None),  # it still grows
        ((10, 20, 40, 42), 4),
        ((), None),
        ((10,), None),
    ],
)
def test_knee_is_where_more_users_bring_less_than_a_tenth(throughputs, expected):
    assert knee(steps(*throughputs)) == expected


def first(found, one, cores=4, profiles=()):
    return gives_first(found, knee(found), one, cores, profiles)


def test_cpu_of_a_process_is_one_core():
    assert first(steps(10, 20, 21, 21, cpu=0.95), candidate()) == "cpu"
    assert first(steps(10, 20, 21, 21, cpu=0.95), candidate(workers=2)) != "cpu"


def test_load_generator_has_a_core_where_processes_could_use_all():
    assert first(steps(10, 20, 21, 21, cpu=0.95), candidate(workers=2), cores=2) == "cpu"


def test_threads_are_used_up_where_more_users_than_slots_come_and_the_cpu_is_free():
    assert first(steps(10, 20, 40, 80, 81, 80), candidate(threads=8)) == "threads"


def test_pool_is_used_up_where_all_its_connections_are_there():
    found = steps(10, 20, 40, 41, 40, connections=4)
    one = candidate("asgi", workers=2, threads=0, pool=2)
    assert first(found, one) == "connections"


def test_loop_is_used_up_where_it_is_held_all_the_time():
    held = Line("a.py:1", "x", "", "holds", 100.0, 0.0, 1.0, 100.0)
    asgi = profile("asgi", lines=(held,))
    assert first(steps(9, 10, 10), candidate("asgi", threads=0), profiles=[asgi]) == "loop"


def test_nothing_stands_out_where_nothing_is_used_up():
    assert first(steps(10, 20, 21, 21), candidate(threads=64)) == ""


def test_nothing_is_said_of_what_still_grows():
    assert first(steps(10, 20, 40, cpu=1.0), candidate()) == ""
