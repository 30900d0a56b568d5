"""What makes a round invalid, each caused for real; and what the open loop sees."""

import os
from dataclasses import replace

import psutil
import pytest

from comparisons.pairs import COMPARISONS
from loadtests import measure as measuring
from loadtests import selection, servers
from loadtests.intervals import percentile
from loadtests.measure import load_generator, measure
from loadtests.rounds import Sample, invalid_because
from loadtests.schedule import Plan, block
from project.deployments import CORES, DEPLOYMENTS, UVICORN, Deployment
from tests.clients import until

PLAN = Plan(window=0.3, looks=(1,))
BLOCKING_CALL = COMPARISONS["blocking-call"]


@pytest.fixture(scope="module")
def generator():
    with load_generator() as started:
        yield started


def one_round(generator, name="async_native", comparison=BLOCKING_CALL, keep=None, **changes):
    """A round of one variant, with these fields of its declaration changed."""
    variant = replace(next(v for v in comparison.variants if v.name == name), **changes)
    small = replace(comparison, variants=[variant], expectations=[])
    measured = []
    rows = selection.rows_of(small, [], None)
    measure(small, rows, PLAN, 1, generator, lambda: [], keep or measured.append)
    return measured[0] if measured else None


def test_a_round_of_a_sound_server_counts(generator):
    round_ = one_round(generator)
    assert [sample.error for sample in round_.answers()] == [None] * len(round_.answers())
    assert round_.server.processes == 1
    assert round_.server.cpu_seconds > 0
    assert 0 < round_.generator_cpu < 1
    assert 0 < round_.sampler_cpu < 0.5


def test_a_wrong_status_is_counted_and_named(generator):
    broken = {"UPSTREAM_URL": "http://127.0.0.1:1"}  # nobody is there
    round_ = one_round(generator, environ=broken)
    assert any("failed: status 500" in reason for reason in invalid_because(round_, None))


def test_a_stale_server_is_not_measured(generator):
    (deployment,) = [DEPLOYMENTS["asgi-uvicorn"]]
    with servers.serving([deployment]) as (server,):
        row = selection.rows_of(BLOCKING_CALL, [], None)[-1]
        stale = replace(server, nonce="00000000")
        measuring._order(generator, "blocking-call", row, stale, PLAN)
        result = measuring._expect(generator, "round")
    errors = {Sample(*sample).error for sample in result["samples"]}
    assert errors == {
        f"answered by '{server.name}' instead of 'asgi-uvicorn 00000000'",
    }


def test_a_throughput_above_the_ceiling_is_no_result(generator):
    round_ = one_round(generator, wait=1.0)  # it says that it waits ten times as long as it does
    assert any("above the ceiling" in reason for reason in invalid_because(round_, None))


def test_a_saturated_generator_is_no_result(generator):
    round_ = one_round(replace(generator, capacity=50.0))
    assert any("near its limit of 50" in reason for reason in invalid_because(round_, None))


def test_a_server_that_dies_in_a_round_makes_it_invalid(generator):
    # It ends itself, in the middle of the load.
    lie = {"DJANGO_SETTINGS_MODULE": "tests.dying_settings", "LIE": "blocking-call/async_native"}
    round_ = one_round(generator, environ=lie)
    assert any("died (signal 9)" in reason for reason in invalid_because(round_, None))


def test_a_round_that_the_hypervisor_took_from_is_measured_again(generator, monkeypatch):
    stolen = iter([0.5, 0.3])
    monkeypatch.setattr(measuring, "_steal", lambda *_: next(stolen, 0.0))
    measured = []
    one_round(generator, keep=measured.append)
    assert [round_.steal for round_ in measured] == [0.5, 0.3, 0.0]
    assert {round_.block for round_ in measured} == {1}
    assert "hypervisor took 50%" in " ".join(invalid_because(measured[0], None))


def test_disturbed_rounds_are_not_repeated_for_ever(generator, monkeypatch):
    monkeypatch.setattr(measuring, "_steal", lambda *_: 0.9)
    measured = []
    one_round(generator, keep=measured.append)
    assert len(measured) == 1 + 2


def test_the_order_of_a_block_is_random_but_the_seeds():
    orders = [block(range(6), 42, number) for number in range(50)]
    assert orders == [block(range(6), 42, number) for number in range(50)]
    assert len({tuple(order) for order in orders}) > 40
    assert all(sorted(order) == list(range(6)) for order in orders)


@pytest.fixture
def freezing_server():
    """Answers at once, but for one second, once, in which it answers nobody."""
    freezing = Deployment(
        name="freezing",
        about="an app that freezes",
        interface="asgi",
        command=(*UVICORN[:-1], "tests.freezing:app"),
    )
    with servers.serving([freezing]) as (server,):
        yield server


@pytest.mark.parametrize(("rate", "sees"), [(None, False), (100.0, True)])
def test_the_open_loop_reports_a_freeze_that_the_closed_loop_hides(
    rate, sees, freezing_server, generator
):
    row = replace(selection.rows_of(BLOCKING_CALL, [], rate)[-1], users=1)
    measuring._order(generator, "blocking-call", row, freezing_server, Plan(window=3.0, looks=()))
    result = measuring._expect(generator, "round")
    samples = [Sample(*sample) for sample in result["samples"]]
    window = [s for s in samples if result["opened"] <= s.start <= result["closed"]]
    assert max(s.latency for s in window) > 500  # it did freeze
    # A hundred calls fell due while it was frozen; the one closed-loop user has made only one.
    assert (percentile([s.latency for s in window], 99) > 500) == sees
    assert (result["send_delay"] > 0) == sees


# --- Requests that only wait

WAITING = 30


def waiting_round(generator, **changes):
    many_waiting = replace(COMPARISONS["many-waiting"], users=WAITING)
    return one_round(generator, "async_shared_thread", many_waiting, **changes)


def test_as_many_requests_wait_at_once_as_there_are_users(generator):
    round_ = waiting_round(generator)
    assert invalid_because(round_, None) == []
    assert len(round_.samples) == len(round_.answers()) == WAITING
    assert min(sample.latency for sample in round_.samples) >= 1000 * round_.wait


def test_a_round_in_which_they_did_not_wait_is_no_result(generator):
    lie = {"DJANGO_SETTINGS_MODULE": "tests.lying_settings"}
    at_once = lie | {"LIE": "many-waiting/async_shared_thread hurry"}
    reasons = invalid_because(waiting_round(generator, environ=at_once), None)
    assert reasons == [f"0 of {WAITING} requests waited at once"]


def test_more_users_than_a_process_may_have_files_are_not_measured(generator, monkeypatch):
    monkeypatch.setattr(measuring.resource, "getrlimit", lambda _: (99, 99))
    reasons = invalid_because(waiting_round(generator), None)
    assert reasons == [f"a process may have 99 files open here, and {WAITING} users need one each"]


# --- The generator


def test_users_close_their_connections_when_the_round_ends(generator):
    deployment = DEPLOYMENTS["wsgi-threads"]
    row = selection.rows_of(BLOCKING_CALL, [], None)[0]
    with servers.serving([deployment]) as (server,):
        measuring._order(generator, "blocking-call", row, server, PLAN)
        measuring._expect(generator, "open")
        assert connections_of(server)
        measuring._expect(generator, "round")
        until(lambda: not connections_of(server))


def connections_of(server):
    (worker,) = psutil.Process(server.process.pid).children()
    return [
        c
        for c in worker.net_connections("tcp")
        if c.status == psutil.CONN_ESTABLISHED and c.laddr.port == server.port
    ]


def test_with_one_core_nothing_can_be_pinned(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    with pytest.raises(ValueError, match="one core only"):
        measuring.cores_apart()


@pytest.mark.skipif(CORES < 2, reason="pinning needs two cores")
def test_pinned_the_generator_and_the_servers_share_no_core():
    with load_generator(pinned=True) as generator:
        of_generator = set(psutil.Process(generator.process.pid).cpu_affinity())
        with servers.serving([DEPLOYMENTS["asgi-uvicorn"]], [generator.beside]) as (server,):
            of_server = set(psutil.Process(server.process.pid).cpu_affinity())
    assert of_generator
    assert of_server
    assert not of_generator & of_server


def test_calibration_finds_the_generators_capacity(generator):
    assert generator.capacity > 100


def test_usage_of_a_dead_server_is_nothing():
    with servers.serving([DEPLOYMENTS["asgi-uvicorn"]]) as (server,):
        assert servers.usage(server).memory_mb > 10
    assert servers.usage(server) == servers.Usage(0, 0, 0.0, 0.0)


def test_what_a_containers_quota_took_is_read_from_its_cgroup(tmp_path):
    stat = tmp_path / "cpu.stat"
    assert measuring._throttled(stat) == 0
    stat.write_text("usage_usec 9\nnr_throttled 3\nthrottled_usec 1500000\n")
    assert measuring._throttled(stat) == 1.5


def test_a_round_that_a_quota_held_back_is_invalid(generator):
    round_ = replace(one_round(generator), throttled=0.2)
    assert any("quota" in reason for reason in invalid_because(round_, None))
