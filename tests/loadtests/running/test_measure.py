"""What makes a round invalid, each caused for real; and what the open loop sees."""

import os
import subprocess
import time
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from math import isnan

import psutil
import pytest

from comparisons.pairs import COMPARISONS
from comparisons.registry import Expectation
from loadtests import crowds
from loadtests.judging.metrics import METRICS, latencies_ms
from loadtests.judging.rounds import Sample
from loadtests.judging.validity import why_invalid
from loadtests.running import (
    backends,
    generators,
    measuring,
    pinning,
    sampling,
    schedule,
    servers,
)
from loadtests.running.generators import TRIVIAL, Generator, Lines, load_generators
from loadtests.running.measuring import order_of
from loadtests.running.rows import rows_of
from loadtests.running.schedule import Plan, block
from loadtests.running.servers import ServerError
from project.deployments import DEPLOYMENTS
from project.processes import dying_with_parent
from tests.support.clients import SMALL, until
from tests.support.rounds import BLOCKING_CALL, PLAN, measured_rounds

# A view that ends its server in the middle of the load.
DYING = {
    "DJANGO_SETTINGS_MODULE": "tests.support.dying_settings",
    "LIE": "blocking-call/async_native",
}

UNSTALLED = {"generator_stall": 0, "compare_stall": 0, "postgres_stall": 0, "clock_jump": 0}


def rounds_of_one(generator, name="async_native", comparison=BLOCKING_CALL, plan=PLAN, **changes):
    """The rounds of one variant, with these fields of its declaration changed."""
    variant = replace(next(v for v in comparison.variants if v.name == name), **changes)
    small = replace(comparison, variants=[variant], expectations=[])
    return measured_rounds(small, generator, plan=plan)


def one_round(generator, *args, **options):
    """The first of them."""
    return rounds_of_one(generator, *args, **options)[0]


def server_of(row):
    return servers.serving([row.deployment], [{"SERVED": f"blocking-call/{row.route}"}])


def test_a_round_of_a_sound_server_counts(generator):
    round_ = one_round(generator)
    assert [sample.error for sample in round_.answers()] == [None] * len(round_.answers())
    assert round_.server.processes == 1
    assert round_.server.cpu_seconds > 0
    assert 0 < round_.generator_cpu < 1
    assert 0 < round_.sampler_cpu < 0.5


def test_a_stale_server_is_not_measured(generator):
    row = rows_of(BLOCKING_CALL, [], None)[-1]
    with server_of(row) as (server,):
        stale = replace(server, nonce="00000000")
        result = generator.run(order_of("blocking-call", row, stale, PLAN))
    errors = {Sample(*sample).error for sample in result.samples}
    assert errors == {
        f"answered by '{server.name}' instead of 'asgi-uvicorn 00000000'",
    }


def test_more_answers_than_users_who_wait_can_have_are_no_result(generator):
    round_ = one_round(generator, wait=1.0)  # it says that it waits ten times as long as it does
    assert any("users who wait can have" in reason for reason in why_invalid(round_, None))


def test_a_saturated_generator_is_no_result(generator):
    round_ = one_round(replace(generator, capacity=1.0))
    assert any("near its limit of 1 " in reason for reason in why_invalid(round_, None))


def test_a_server_that_dies_in_a_round_makes_it_invalid(generator):
    round_ = one_round(generator, environ=DYING)
    assert any("died (signal 9)" in reason for reason in why_invalid(round_, None))


def test_restarted_server_is_warmed_up_before_its_rounds(generator, monkeypatch):
    events = []
    warm_up, order_of = measuring.warm_up, measuring.order_of

    def note_warm_up(slug, rows, running, *rest):
        events.extend(("warm-up", server.nonce) for server in running)
        return warm_up(slug, rows, running, *rest)

    def note_round(slug, row, server, *rest):
        events.append(("round", server.nonce))
        return order_of(slug, row, server, *rest)

    monkeypatch.setattr(measuring, "warm_up", note_warm_up)
    monkeypatch.setattr(measuring, "order_of", note_round)
    one_round(generator, environ=DYING, plan=replace(PLAN, looks=(2,)))
    nonces = dict.fromkeys(nonce for _, nonce in events)
    in_turn = [(event, nonce) for nonce in nonces for event in ("warm-up", "round")]
    assert events[:4] == in_turn[:4]  # it dies in each round


def test_a_round_that_the_hypervisor_took_from_is_measured_again(
    generator, monkeypatch, undisturbed
):
    stolen = iter([0.5, 0.3])
    monkeypatch.setattr(sampling, "stolen_share", lambda *_: next(stolen, 0.0))
    measured = rounds_of_one(generator)
    assert [round_.steal for round_ in measured] == [0.5, 0.3, 0.0]
    assert {round_.block for round_ in measured} == {1}
    assert "hypervisor took 50%" in " ".join(why_invalid(measured[0], None))


def test_disturbed_rounds_are_not_repeated_for_ever(generator, monkeypatch, undisturbed):
    monkeypatch.setattr(sampling, "stolen_share", lambda *_: 0.9)
    measured = rounds_of_one(generator)
    assert len(measured) == 1 + 2


def test_row_that_is_always_disturbed_uses_up_no_other_rows_repeats(generator, monkeypatch):
    counts = Counter()

    def disturbed(*args):
        round_ = record(*args)
        counts[round_.variant] += 1
        first = counts[round_.variant] == 1
        taken = 0.9 if first or round_.variant == "sync" else 0.0
        return replace(round_, steal=taken, throttled=0, **UNSTALLED)

    record = measuring.record
    monkeypatch.setattr(measuring, "record", disturbed)
    variants = [v for v in BLOCKING_CALL.variants if v.name in ("sync", "async_native")]
    measured_rounds(replace(BLOCKING_CALL, variants=variants, expectations=[]), generator)
    assert counts == {"sync": 1 + 2, "async_native": 1 + 1}


def test_garbage_is_collected_before_each_window(generator, monkeypatch):
    events = []

    def note_pools(_server, *, collect=False):
        events.extend(["collect"] * collect)

    def note_window(*args):
        events.append("window")
        return watch(*args)

    watch = measuring.watch
    monkeypatch.setattr(sampling, "pool_counters", note_pools)
    monkeypatch.setattr(measuring, "watch", note_window)
    monkeypatch.setattr(sampling, "stolen_share", lambda *_: 0.9)  # all rounds are disturbed
    rounds_of_one(generator, plan=replace(PLAN, looks=(2,)))
    assert events.count("window") == 2 + schedule.REPEATS
    assert "window window" not in " ".join(["window", *events])


# --- The next round warms up while one is answered


@pytest.fixture
def phases(monkeypatch):
    """What happens in which round: `begin sync`, `watch sync`, ..."""
    found = []

    def note(name, of):
        original = getattr(measuring, name)

        def noted(measurement, *args):
            found.append((name, of(*args).row.variant.name))
            return original(measurement, *args)

        monkeypatch.setattr(measuring, name, noted)

    note("begin", lambda _block, one, *_: one)
    note("watch", lambda begun: begun.one)
    note("record", lambda begun, _: begun.one)
    return found


def two_rows(**changes):
    variants = [v for v in BLOCKING_CALL.variants if v.name in ("async_blocking", "async_native")]
    return replace(BLOCKING_CALL, variants=variants, expectations=[], **changes)


def test_window_opens_when_all_of_the_round_before_is_answered(generators, phases):
    measured = measured_rounds(two_rows(), *generators, plan=replace(PLAN, looks=(2,)))
    orders = [[name for name, _ in phases[n : n + 3]] for n in range(1, len(phases) - 3, 3)]
    assert ["watch", "begin", "record"] in orders  # one did warm up meanwhile
    for before, after in pairwise(measured):
        assert max(sample.end for sample in before.samples) < after.opened
        assert max(call.end for call in before.bystander) < after.opened


def test_nothing_warms_up_before_all_that_counts_of_a_round_is_answered(generators, phases):
    measured = measured_rounds(two_rows(), *generators, plan=replace(PLAN, looks=(2,)))
    for before, after in pairwise(measured):
        last = max(call.end for call in before.bystander_answers())
        assert min(sample.start for sample in after.samples) > max(before.closed, last)


def test_rounds_come_one_after_the_other_with_one_generator(generator, phases):
    measured_rounds(two_rows(), generator, plan=replace(PLAN, looks=(2,)))
    assert [name for name, _ in phases] == ["begin", "watch", "record"] * 4


def test_work_is_timed_before_each_block_while_nothing_else_runs(
    generators, phases, monkeypatch, undisturbed
):
    monkeypatch.setattr(measuring, "min_cpu_seconds", lambda *_: phases.append(("time", "")) or 0.1)
    measured_rounds(two_rows(work=dict), *generators, plan=replace(PLAN, looks=(2,)))
    block = ["time", "begin", "watch", "begin", "record", "watch", "record"]
    assert [name for name, _ in phases] == block * 2


def test_round_begun_beside_one_that_breaks_is_begun_again(generators, phases, monkeypatch):
    """Whatever has broken it may have spoilt the other's warm-up."""

    def broken(measurement, begun, seen):
        round_ = record(measurement, begun, seen)
        return replace(round_, broken=["PostgreSQL was away"])

    record = measuring.record
    monkeypatch.setattr(measuring, "record", broken)
    measured = measured_rounds(two_rows(), *generators, plan=replace(PLAN, looks=(2,)))
    assert [round_.block for round_ in measured] == [1, 1, 2, 2]
    began = [name for name, _ in phases].count("begin")
    beside = [first[0] for first, then in pairwise(phases) if then[0] == "begin"].count("watch")
    assert began == 4 + beside > 4
    assert not any(sample.error for round_ in measured for sample in round_.samples)


LOOKED_FOR = ("first_byte", "upstream_calls")


@pytest.mark.parametrize("metric", LOOKED_FOR)
def test_that_an_expectation_speaks_of_a_metric_has_it_looked_at_and_no_other(metric, generator):
    """The two for which nobody looks unasked: NaN where nobody did."""
    expected = [Expectation("async_native", metric, at_least=1, why="theory")]
    variants = [v for v in BLOCKING_CALL.variants if v.name == "async_native"]
    asking = replace(BLOCKING_CALL, variants=variants, expectations=expected)
    (round_, *_) = measured_rounds(asking, generator)
    assert {name for name in LOOKED_FOR if not isnan(METRICS[name](round_))} == {metric}


# --- Stops: Ctrl-Z and fg, a laptop that sleeps


@pytest.fixture
def at_look(monkeypatch):
    """at_look[n] is called before compare's n-th look at the server in a round."""
    calls = {}
    look = sampling.Looks.look

    def look_and_call(self):
        if call := calls.pop(len(self.used), None):
            call()
        look(self)

    monkeypatch.setattr(sampling.Looks, "look", look_and_call)
    return calls


def measured_again(generator, reason):
    """The first of a row's rounds, which is measured again and does not count for this reason.

    Its window is long enough that a busy machine does not close it before the first look.
    """
    measured = rounds_of_one(generator, plan=replace(PLAN, window=1.0))
    assert {round_.block for round_ in measured} == {1}
    assert len(measured) >= 2
    assert reason in " ".join(why_invalid(measured[0], None))
    return measured[0]


def test_round_in_which_the_generator_stood_still_is_repeated(generator, at_look):
    process = psutil.Process(generator.process.pid)
    at_look[1] = process.suspend
    at_look[6] = process.resume  # five looks later, each SAMPLING after the last
    assert measured_again(generator, "the load generator stood still").generator_stall > 0.4


def test_round_in_which_compare_stood_still_is_repeated(generator, at_look):
    at_look[1] = lambda: time.sleep(0.6)
    assert measured_again(generator, "compare itself stood still for").compare_stall > 0.5


def test_round_in_which_postgres_stood_still_is_repeated(generator, at_look, monkeypatch):
    fast = backends.COUNT
    slow = fast.replace(b"FROM", b"FROM (SELECT pg_sleep(0.6)) AS stop,")
    at_look[1] = lambda: monkeypatch.setattr(backends, "COUNT", slow)
    at_look[2] = lambda: monkeypatch.setattr(backends, "COUNT", fast)
    assert measured_again(generator, "PostgreSQL did not answer for").postgres_stall > 0.5


@pytest.mark.long
def test_round_in_which_the_clock_was_set_is_repeated(monkeypatch):
    def of_tests(command):
        return dying_with_parent([*command[:-1], "tests.support.jumping_generator"])

    monkeypatch.setattr(generators, "dying_with_parent", of_tests)
    with load_generators() as (generator, _):
        assert generator.capacity > 100  # the first window had an hour
        measured_again(generator, "the clock was set by +3600.00 s, or the machine slept")


def test_lines_that_came_at_once_are_read_one_by_one():
    reading, writing = os.pipe()
    with open(reading, "rb") as pipe:
        lines = Lines(pipe)
        os.write(writing, b"open\nclose\nrou")
        assert [lines.next(0), lines.next(0), lines.next(0)] == [b"open", b"close", None]
        os.write(writing, b"nd\n")
        os.close(writing)
        assert lines.next(0) == b"round"
        with pytest.raises(EOFError):
            lines.next(0)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exec sleep 60", "the load generator has said nothing for 2 s"),
        ("echo first >&2; echo last >&2; exit 1", "the load generator died: last"),
    ],
)
def test_generator_that_says_nothing_is_one_line(script, said, monkeypatch, tmp_path):
    monkeypatch.setattr(generators, "SILENCE_TIMEOUT_S", 2)
    log = tmp_path / "log"
    with open(log, "wb") as output:
        process = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, stderr=output)
    with pytest.raises(ServerError, match=said):
        Generator(process, Lines(process.stdout), log).expect("open")
    process.kill()
    process.communicate()


# (users, slots, processes), requests/s of the ceiling, seconds of a lone request: seconds
SPREADS = [
    ((6, None, 1), 60, 0.1, 0.1),
    ((6, 4, 1), 40, 0.1, 0.15),
    ((6, 1, 1), 10, 0.1, 0.1),  # its queue spreads them
    ((6, 1, 2), 20, 0.1, 0.3),
    ((6, None, 1), None, 0.002, 0.012),
    ((6, None, 1), None, 0.1, 0.1),
    ((1, None, 1), None, 0.1, 0),
    ((1, None, 1), 10, 0.1, 0),
    ((1, None, 2), None, 0.1, 0),
    ((6, None, 2), None, 0.002, None),  # left to the users
    ((6, None, 1), None, None, None),
]


@pytest.mark.parametrize(("shape", "ceiling_rate", "alone", "spread"), SPREADS)
def test_users_come_spread_over_what_all_of_them_need(shape, ceiling_rate, alone, spread):
    users, slots, workers = shape
    row = rows_of(BLOCKING_CALL, [], None)[-1]
    row = replace(
        row,
        users=users,
        variant=replace(row.variant, slots=slots),
        deployment=replace(row.deployment, workers=workers),
    )
    server = servers.Running(row.deployment, 1, "", None, None, {})
    order = order_of("blocking-call", row, server, PLAN, ceiling_rate, alone)
    assert order.spread == (spread if spread is None else pytest.approx(spread))


def test_the_order_of_a_block_is_random_but_the_seeds():
    orders = [block(range(6), 42, number) for number in range(50)]
    assert orders == [block(range(6), 42, number) for number in range(50)]
    assert len({tuple(order) for order in orders}) > 40
    assert all(sorted(order) == list(range(6)) for order in orders)


@pytest.mark.parametrize(("rate", "sees"), [(None, False), (100.0, True)])
def test_open_loop_reports_a_freeze_that_the_closed_loop_hides(
    rate, sees, generator, at_look, monkeypatch
):
    def freeze():
        server = psutil.Process(seen[0].process.pid)
        server.suspend()
        time.sleep(1)
        server.resume()

    seen = []
    monkeypatch.setattr(sampling, "pool_counters", lambda server, **_: seen.append(server))
    monkeypatch.setattr(schedule, "REPEATS", 0)
    at_look[1] = freeze
    plan = Plan(window=3.0, looks=(1,))
    rows = [replace(rows_of(BLOCKING_CALL, [], rate)[-1], deployment=TRIVIAL, users=1)]
    (round_,) = measured_rounds(BLOCKING_CALL, generator, plan=plan, rows=rows)
    assert max(latencies_ms(round_)) > 900  # it did freeze
    # A hundred calls fell due while it was frozen; the one closed-loop user has made only one.
    assert (METRICS["latency_p99"](round_) > 500) == sees
    assert (round_.send_delay > 0) == sees


# --- Requests that only wait

WAITING = 30


def waiting_round(generator, **changes):
    """They wait for as long as they need to come, be the machine busy."""
    many_waiting = replace(
        COMPARISONS["many-waiting"], users=WAITING, waiting=lambda _users: 3, expectations=[]
    )
    return one_round(generator, "async_shared_thread", many_waiting, **changes)


def test_as_many_requests_wait_at_once_as_there_are_users(generator, undisturbed):
    round_ = waiting_round(generator)
    assert why_invalid(round_, None) == []
    assert len(round_.samples) == len(round_.answers()) == WAITING
    assert min(sample.latency_ms for sample in round_.samples) >= 1000 * round_.wait


def test_a_round_in_which_they_did_not_wait_is_no_result(generator, undisturbed):
    lie = {"DJANGO_SETTINGS_MODULE": "tests.support.lying_settings"}
    at_once = lie | {"LIE": "many-waiting/async_shared_thread hurry"}
    reasons = why_invalid(waiting_round(generator, environ=at_once), None)
    assert reasons == [f"0 of {WAITING} requests waited at once"]


def test_more_users_than_a_process_may_have_files_are_not_measured(generator, monkeypatch):
    monkeypatch.setattr(crowds, "most_files", lambda: 99)
    reasons = why_invalid(waiting_round(generator), None)
    assert reasons == [
        f"{WAITING} users need {WAITING + 200} open files, one each and 200 besides; "
        "a process may have 99 here "
        "(ulimit -Hn, which root may raise; docker run --ulimit nofile=N)"
    ]


# --- The generator


def test_users_close_their_connections_when_the_round_ends(generator):
    row = rows_of(BLOCKING_CALL, [], None)[0]
    with server_of(row) as (server,):
        generator.send(order_of("blocking-call", row, server, PLAN))
        generator.go()
        generator.expect("open")
        assert connections_of(server)
        generator.result()
        until(lambda: not connections_of(server))


def test_users_do_not_wait_for_ever_for_a_command_that_stands_still(monkeypatch):
    """They leave the server alone, and come again when it goes on."""

    def of_tests(command):
        return dying_with_parent([*command[:-1], "tests.support.impatient_generator"])

    monkeypatch.setattr(generators, "dying_with_parent", of_tests)
    row = rows_of(BLOCKING_CALL, [], None)[0]
    with load_generators() as (generator, _), server_of(row) as (server,):
        generator.send(order_of("blocking-call", row, server, PLAN))
        until(lambda: connections_of(server))
        until(lambda: not connections_of(server))
        generator.go()
        result = generator.result()
    assert {error for *_, error in result.samples} == {None}
    assert len(result.samples) >= row.users


def connections_of(server):
    (worker,) = psutil.Process(server.process.pid).children()
    return [
        c
        for c in worker.net_connections("tcp")
        if c.status == psutil.CONN_ESTABLISHED and c.laddr.port == server.port
    ]


def test_one_core_cannot_be_left_to_the_generator(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    with pytest.raises(ValueError, match="one core only"):
        pinning.leave_last_core()


def test_calibration_finds_the_generators_capacity(generator):
    assert generator.capacity > 10


def test_usage_of_a_dead_server_is_nothing():
    with servers.serving([DEPLOYMENTS["asgi-uvicorn"]], [SMALL]) as (server,):
        assert sampling.usage(server).memory_mb > 10
    assert sampling.usage(server) == sampling.Usage(0, 0, 0.0, 0.0)


def test_what_a_containers_quota_took_is_read_from_its_cgroup(tmp_path):
    stat = tmp_path / "cpu.stat"
    assert sampling.throttled_s(stat) == 0
    stat.write_text("usage_usec 9\nnr_throttled 3\nthrottled_usec 1500000\n")
    assert sampling.throttled_s(stat) == 1.5


def test_a_round_that_a_quota_held_back_is_invalid(generator):
    round_ = replace(one_round(generator), throttled=0.2)
    assert any("quota" in reason for reason in why_invalid(round_, None))


@pytest.mark.parametrize("end", [True, False])
def test_idle_connections_end_as_the_window_opens_where_that_is_declared(end, generator):
    comparison = replace(COMPARISONS["dead-connections"], connections_end=end)
    # All may be in use at that moment: then none is idle, and nothing fails.
    rounds = (one_round(generator, "sync", comparison) for _ in range(3 if end else 1))
    assert any(METRICS["failed"](round_) > 0 for round_ in rounds) == end
