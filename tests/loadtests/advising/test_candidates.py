"""Candidates from what a request is made of, by Little's law: numbers worked by hand."""

import pytest

from comparisons.advice import FORMULA, Line, Profile
from loadtests.advising.candidates import Load, Mix, held_ms, plans, pool_for, rounded_up

ALL = {"wsgi-sync", "wsgi-threads", "asgi-uvicorn", "asgi-workers"}


def profile(interface="wsgi", wait_ms=90.0, cpu_ms=10.0, queries=0.0, held=0.0, lines=(), ask=None):
    return Profile(
        ask=ask or "GET /a/",
        interface=interface,
        view="shop.views.a",
        place="shop/views.py:3",
        is_async=False,
        requests=20,
        wall_ms=wait_ms + cpu_ms,
        cpu_ms=cpu_ms,
        wait_ms=wait_ms,
        queries=queries,
        query_ms=queries,
        connections=int(queries > 0),
        held_ms=held,
        lines=lines,
    )


def planned(*found, load=None, deployments=ALL, cores=2, keeps=False, can_keep=True, can_pool=True):
    by_interface = {}
    for one in found:
        by_interface.setdefault(one.interface, []).append(one)
    made = plans(
        by_interface,
        {"GET /a/": 1.0},
        deployments,
        load or Load(users=20),
        cores,
        keeps_connections=keeps,
        can_keep=can_keep,
        can_pool=can_pool,
    )
    return {plan.name: plan for plan in made}


def test_formula_is_what_gunicorns_documentation_says():
    formula = planned(profile(), cores=4)[FORMULA]
    assert (formula.deployment, formula.workers, formula.threads) == ("wsgi-sync", 9, 1)


def test_asgi_only_has_as_many_processes_as_the_formula_says():
    formula = planned(profile("asgi"), cores=4)[FORMULA]
    assert (formula.deployment, formula.workers) == ("asgi-workers", 9)


def test_threads_are_as_many_as_requests_are_in_the_server():
    # 20 users, 90 ms of waiting, 10 ms of CPU: 200 requests/s, as 2 cores allow just that;
    # 200 x 0.1 s = 20 in the server, and no more than the users: 20 over 2 processes.
    threads = planned(profile())["threads"]
    assert (threads.deployment, threads.workers, threads.threads) == ("wsgi-threads", 2, 12)


def test_cheap_request_needs_one_process():
    # 20 users / 101 ms x 1 ms of CPU: a fifth of a core
    found = planned(profile(wait_ms=100, cpu_ms=1))
    assert (found["threads"].workers, found["threads"].threads) == (1, 24)
    assert (found["threads_per_core"].workers, found["threads_per_core"].threads) == (2, 12)


def test_rate_asks_for_what_is_in_the_server_and_half_as_many():
    # 100/s x 50 ms = 5, and 7.5 with the margin; 100/s x 5 ms of CPU: one core
    found = planned(profile(wait_ms=45, cpu_ms=5), load=Load(1, rate=100))
    assert (found["threads"].workers, found["threads"].threads) == (1, 8)


def test_computing_request_gets_a_process_a_core():
    found = planned(profile(wait_ms=2, cpu_ms=50))
    assert (found["processes"].deployment, found["processes"].workers) == ("wsgi-sync", 2)


def test_no_processes_where_it_waits():
    assert "processes" not in planned(profile())


@pytest.mark.parametrize(
    ("queries", "keeps", "can_keep", "expected"),
    [
        (3, False, True, True),
        (0, False, True, False),
        (3, True, True, False),
        (3, False, False, False),
    ],
)
def test_kept_connections_are_proposed_where_they_could_differ(queries, keeps, can_keep, expected):
    found = planned(profile(queries=queries), keeps=keeps, can_keep=can_keep)
    assert ("threads_kept" in found) == expected


def test_event_loop_is_proposed_under_asgi_only():
    assert "loops" not in planned(profile())
    assert planned(profile(), profile("asgi"))["loops"].deployment == "asgi-workers"


def test_held_loop_is_not_proposed_where_there_are_threads():
    held = Line("a.py:1", "sleep(0.09)", "", "holds", 90.0, 1.0, 1.0, 90.0)
    found = planned(profile(), profile("asgi", lines=(held,)))
    assert not {"loop", "loops"} & set(found)


def test_only_way_to_serve_is_proposed_though_the_loop_is_held():
    held = Line("a.py:1", "sleep(0.09)", "", "holds", 90.0, 1.0, 1.0, 90.0)
    assert "loops" in planned(profile("asgi", lines=(held,)))


def test_pool_is_arrivals_times_the_time_held_and_half_as_many():
    # 20 users, 100 ms: 200/s x 50 ms = 10 at once; 15 with the margin, of 2 processes
    mix = Mix(wait=0.09, cpu=0.01, queries=2, connection=0.05, loop_held=0)
    assert pool_for(mix, Load(20), cores=2, workers=2) == 8
    assert pool_for(mix, Load(20), cores=2, workers=1) == 15


def test_pool_is_proposed_where_there_are_queries():
    asgi = profile("asgi", queries=2, held=50)
    assert planned(asgi)["loop_pool"].pool_size == 8
    assert "loop_pool" not in planned(profile("asgi"))
    assert "loop_pool" not in planned(asgi, can_pool=False)


def test_mix_weighs_each_kind_of_request_by_its_share():
    found = [profile(wait_ms=100, cpu_ms=0), profile(wait_ms=0, cpu_ms=10, ask="GET /b/")]
    mix = Mix.of(found, {"GET /a/": 0.75, "GET /b/": 0.25})
    assert mix.wait == pytest.approx(0.075)
    assert mix.cpu == pytest.approx(0.0025)


def test_what_computes_on_the_loop_is_no_waiting_there():
    line = Line("a.py:1", "x", "", "holds", 100.0, 60.0, 1.0, 100.0)
    assert held_ms(profile("asgi", lines=(line,))) == 40


def test_plans_of_one_shape_are_one():
    # one core: "threads" and "threads over the cores" are the same
    found = planned(profile(wait_ms=100, cpu_ms=1), cores=1)
    assert "threads_per_core" not in found


@pytest.mark.parametrize(("number", "rounded"), [(0.2, 1), (1, 1), (4.1, 6), (20, 24), (999, 200)])
def test_threads_are_rounded_to_what_a_person_would_write(number, rounded):
    assert rounded_up(number) == rounded


def test_request_that_takes_nothing_divides_by_nothing():
    assert planned(profile(wait_ms=0, cpu_ms=0), profile("asgi", wait_ms=0, cpu_ms=0))
