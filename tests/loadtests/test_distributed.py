"""One round by several workers: parts, clocks and windows, by hand."""

import pytest

from loadtests.distributed import Clock, merged, shares
from loadtests.orders import LoadResult, Order

ORDER = Order("print", "sync", "http://127.0.0.1:1", "x", users=5, window=0.5, min_answers=5)


def result(opened, closed, ends=(), **more):
    """Answers that took 100 ms each, and ended then."""
    samples = [[end - 0.1, 100.0, 200, 7, None] for end in ends]
    values = {"cpu": 0.1, "bystander": [], "send_delay": 0, "stall": 0, "clock_jump": 0} | more
    return LoadResult(opened=opened, closed=closed, samples=samples, **values)


def test_clock_is_told_by_the_quickest_ping():
    """Sent at 10.0 and back at 10.2: its 20.15 was 10.1 here, give or take 0.1."""
    clock = Clock.of([(10.0, 20.15, 10.2), (11.0, 29.0, 12.0)])
    assert (clock.offset, clock.uncertain, clock.round_trip) == pytest.approx((10.05, 0.1, 0.2))


def test_clock_that_is_set_back_between_two_readings_is_no_negative_round_trip():
    assert Clock.of([(10.0, 20.0, 9.9)]).uncertain == 0


def test_users_are_divided_evenly():
    assert [part.users for part in shares(ORDER, ["load"] * 2)] == [3, 2]


def test_worker_without_a_user_has_no_part():
    assert [part.users for part in shares(ORDER, ["load"] * 8)] == [1] * 5


def test_each_knows_how_many_users_share_the_ports_of_its_machine():
    parts = shares(ORDER, ["load1", "load2", "load1"])
    assert [(part.users, part.users_here) for part in parts] == [(2, 3), (2, 2), (1, 3)]


def test_rate_is_divided_evenly():
    assert [part.rate for part in shares(Order(**vars(ORDER) | {"rate": 30}), ["load"] * 3)] == [
        10,
        10,
        10,
    ]


def test_bound_of_requests_is_divided_so_that_it_holds():
    bounded = Order(**vars(ORDER) | {"max_requests": 100})
    assert [part.max_requests for part in shares(bounded, ["load"] * 3)] == [33] * 3


def test_first_worker_alone_has_the_bystander():
    assert [part.bystander for part in shares(ORDER, ["load"] * 3)] == ["/bystander/", None, None]


def test_window_is_what_the_workers_windows_have_in_common():
    """The second's clock is 100 s ahead: it measured from 10.1 to 10.6 of the master's time."""
    first = result(10.0, 10.5, ends=[10.05, 10.2])
    second = result(110.1, 110.6, ends=[110.3, 110.55])
    both = merged({"a": (first, Clock(0, 0, 0)), "b": (second, Clock(100, 0.001, 0.002))})
    assert (both.opened, both.closed) == pytest.approx((10.1, 10.5))
    ends = [start + latency / 1000 for start, latency, *_ in both.samples]
    assert ends == pytest.approx([10.05, 10.2, 10.3, 10.55])
    assert not both.broken


def test_windows_without_a_common_moment_break_the_round():
    parts = {"a": (result(10.0, 10.5), Clock(0, 0, 0)), "b": (result(10.6, 11), Clock(0, 0, 0))}
    assert merged(parts).broken == ["the workers' windows have nothing in common"]


def test_round_has_the_worst_of_what_its_workers_suffered():
    parts = {
        "a": (result(0, 1, cpu=0.2, stall=0.3, clock_jump=-0.2, send_delay=5), Clock(0, 0, 0)),
        "b": (result(0, 1, cpu=0.9, stall=0.1, clock_jump=0.1, send_delay=7), Clock(0, 0, 0)),
    }
    both = merged(parts)
    assert (both.cpu, both.stall, both.clock_jump, both.send_delay) == (0.9, 0.3, -0.2, 7)


def test_each_worker_is_told_with_its_own_answers_and_clock():
    worker = result(10.0, 10.5, ends=[9.9, 10.2, 10.4], cpu=0.25)
    (row,) = merged({"load1": (worker, Clock(0.002, 0.0005, 0.001))}).workers
    assert row == {
        "name": "load1",
        "cpu": 0.25,
        "answers_per_s": 4.0,  # two in half a second
        "offset_ms": 2.0,
        "uncertain_ms": 0.5,
        "round_trip_ms": 1.0,
    }
