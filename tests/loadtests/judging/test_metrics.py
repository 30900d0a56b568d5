"""What made-up rounds say."""

from dataclasses import replace
from math import isnan

import pytest

from loadtests.judging.measurements import measurement
from loadtests.judging.metrics import METRICS, backlog_growth, theory, throughput
from loadtests.judging.rounds import Sample
from loadtests.orders import LEFT
from tests.support.made import BODY, made_round


def test_throughput_is_exact_for_evenly_spaced_answers():
    assert throughput(made_round(rate=7.0)) == pytest.approx(7)


def test_throughput_counts_whole_turns_of_the_users():
    """Four users come at uneven places of a turn of 160 ms: 25 a second, wherever it is cut."""
    places = (0, 36, 57, 92)  # ms
    ends = [100 - 0.164 + (160 * turn + place) / 1000 for turn in range(4) for place in places]
    samples = [Sample(end - 0.15, 150.0, 200, BODY, None) for end in ends]
    for cut in (0.2, 0.25, 0.27, 0.32):
        round_ = made_round(samples=samples, closed=100 + cut, users=4)
        assert throughput(round_) == pytest.approx(25)


def test_memory_is_what_the_server_grew_by():
    assert METRICS["memory"](made_round()) == 10


def test_latency_of_a_view_that_only_fails_is_not_measured():
    samples = [sample._replace(error="status 500") for sample in made_round().samples]
    assert isnan(METRICS["latency"](made_round(samples=samples)))


def test_bystander_pays_for_its_own_calls():
    """0.5 s of CPU, 41 calls of 2 ms each in the window: 418 ms are left for 101 answers."""
    calls = [Sample(100 + place * 0.025, 0.1, 200, BODY, None) for place in range(-3, 40)]
    round_ = made_round(bystander=calls)
    round_ = replace(round_, server=replace(round_.server, bystander_cpu_ms=2.0))
    assert METRICS["cpu_per_request"](round_) == pytest.approx((500 - 40 * 2) / 101)


def test_queue_for_the_cpu_is_of_all_users_and_of_the_measured_time():
    """0.505 s of CPU for 101 answers, 5 ms each; four wait 50 ms, and the last of them 20 more."""
    round_ = made_round(users=4, bystander=[])
    round_ = replace(round_, server=replace(round_.server, cpu_seconds=0.505))
    assert theory(round_, "queue") == pytest.approx(4 / 0.070)


def test_request_that_its_user_left_has_neither_succeeded_nor_failed():
    samples = made_round().samples
    half = [s._replace(error=LEFT) if n % 2 else s for n, s in enumerate(samples)]
    round_ = made_round(samples=half)
    assert throughput(round_) == pytest.approx(50, abs=1)
    assert (METRICS["failures"](round_), METRICS["failed"](round_)) == (0, 0)


def test_failed_counts_those_of_the_whole_round():
    samples = [sample._replace(error="status 500") for sample in made_round().samples]
    assert METRICS["failed"](made_round(samples=samples)) == len(samples)


def test_first_byte_is_that_of_successful_answers():
    sample = made_round().samples[-1]
    samples = [sample._replace(first_byte_ms=ms) for ms in (10.0, 20.0, 30.0)]
    samples += [sample._replace(first_byte_ms=90.0, error="status 500")] * 9
    assert METRICS["first_byte"](made_round(samples=samples)) == 20
    assert isnan(METRICS["first_byte"](made_round()))


@pytest.mark.parametrize("metric", ["queries", "transactions", "upstream_calls"])
def test_what_is_counted_at_once_is_the_most_of_a_round(metric):
    round_ = made_round()
    assert METRICS[metric](replace(round_, server=replace(round_.server, **{metric: 7}))) == 7


def test_upstream_that_nobody_asked_has_no_number_of_calls():
    assert isnan(METRICS["upstream_calls"](made_round()))


# --- An open loop


def open_loop(rate, latencies_ms, block=1, window=1.0):
    """A round in which requests fall due at this rate, from t=100 on."""
    samples = [
        Sample(100 + place / rate, latency, 200, BODY, None)
        for place, latency in enumerate(latencies_ms)
    ]
    return replace(made_round(block=block, samples=samples, closed=100 + window), rate=float(rate))


def test_call_that_fell_due_in_a_freeze_longer_than_the_window_counts():
    frozen = open_loop(10, [5000 - 100 * place for place in range(10)])
    assert METRICS["latency"](frozen) == pytest.approx(4550)


def test_server_that_keeps_up_has_no_growing_backlog():
    round_ = open_loop(20, [30] * 40, window=1.0)
    assert backlog_growth(round_) == pytest.approx(0, abs=1)


def overloaded(block):
    """60 fall due in a second, 40 are answered: each waits 1/120 s longer than the one before."""
    return open_loop(60, [50 + 1000 * place / 120 for place in range(60)], block)


def test_backlog_grows_by_what_is_asked_for_and_not_answered():
    # Of 60 due in the second, 38 are answered by its end, and the first 50 ms answered none.
    assert backlog_growth(overloaded(1)) == pytest.approx(21, abs=2)


def test_overloaded_row_has_a_backlog_and_no_latency():
    found = measurement([overloaded(block) for block in (1, 2, 3)], BODY)
    assert found.latency_ms.p50 is None
    assert found.backlog_growth == pytest.approx(21, abs=2)


def test_one_frozen_round_leaves_the_row_its_latency():
    rounds = [open_loop(10, [30] * 12, block) for block in (1, 2, 3, 4, 5, 6)]
    rounds.append(open_loop(10, [3000 - 100 * place for place in range(10)], 7))
    found = measurement(rounds, BODY)
    assert found.backlog_growth is None
    assert found.latency_ms.max == 3000
