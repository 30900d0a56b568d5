"""Several load generators: a real master, real workers, and a server that the test has written."""

import os
from contextlib import contextmanager

import psutil
import pytest

from comparisons.pairs import COMPARISONS
from loadtests.away import Place
from loadtests.orders import Order
from loadtests.running import generators
from loadtests.running.servers import ServerError
from loadtests.running.workers import Crew
from tests.support.scripted import WHO, response, scripted

SLUG = next(iter(COMPARISONS))
VARIANT = COMPARISONS[SLUG].variants[0].name
RIGHT = response()


@pytest.fixture
def uncalibrated(monkeypatch):
    monkeypatch.setattr(
        generators, "capacities", lambda generator, address, parties=([],): [1000.0] * len(parties)
    )


@contextmanager
def crew(size):
    with generators.load_generators(size) as (generator,):
        yield generator


def order_for(url, **more):
    what = {"comparison": SLUG, "variant": VARIANT, "host": url, "server": WHO}
    return Order(**what | {"users": 5, "window": 0.3, "min_answers": 10} | more)


def processes(module):
    """The processes of ours that run this module, by their last word."""
    return {
        one.info["cmdline"][-1]: one
        for one in psutil.process_iter(["cmdline", "ppid"])
        if module in (one.info["cmdline"] or ())
        and os.getpid() in (parent.pid for parent in one.parents())
    }


@pytest.mark.parametrize("raw", [False, True])
def test_workers_share_the_users_of_a_round_and_one_calls_the_bystander(uncalibrated, raw):
    with scripted(lambda *_: RIGHT) as server, crew(Crew(here=2)) as generator:
        result = generator.run(order_for(server.url, raw=raw))
    assert [row["name"] for row in result.workers] == ["here-1", "here-2"]
    assert all(row["answers_per_s"] and row["capacity"] == 1000 for row in result.workers)
    assert not [error for *_, error in result.samples if error]
    assert result.closed - result.opened > 0.1
    assert bool(result.bystander) != raw
    assert (result.lost, result.broken) == ([], [])


def test_calibration_says_what_each_can_do_alone():
    with crew(Crew(here=2)) as generator:
        assert [worker["name"] for worker in generator.workers] == ["here-1", "here-2"]
        assert all(worker["capacity"] > 0 for worker in generator.workers)
        assert generator.as_row()["workers"] == generator.workers
        assert generator.capacity > 0


def lose(generator, order, end):
    """Run a round in whose window a worker is lost, by `end(its process)`."""
    generator.send(order)
    generator.go()
    generator.expect("open")
    end(processes("loadtests.worker")["here-1"])
    return generator.result()


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(psutil.Process.kill, id="killed"),
        pytest.param(psutil.Process.suspend, id="hung", marks=pytest.mark.long),
    ],
)
def test_round_in_which_a_worker_is_lost_does_not_count_and_ends_the_run(uncalibrated, end):
    with scripted(lambda *_: RIGHT) as server, crew(Crew(here=2)) as generator:
        result = lose(generator, order_for(server.url), end)
        assert result.broken == ["the load generator here-1 was lost"]
        assert [row["name"] for row in result.workers] == ["here-2"]
        with pytest.raises(ServerError, match="the load generator here-1 was lost; --go-on"):
            generator.send(order_for(server.url))


@pytest.mark.long
def test_run_that_may_lose_a_worker_goes_on_with_the_others(uncalibrated):
    both = Crew(here=2, may_lose=True)
    with scripted(lambda *_: RIGHT) as server, crew(both) as generator:
        lose(generator, order_for(server.url), psutil.Process.kill)
        result = generator.run(order_for(server.url))
    assert (result.lost, result.broken) == (["here-1"], [])
    assert [row["name"] for row in result.workers] == ["here-2"]
    assert result.bystander


@pytest.mark.long
def test_last_worker_that_is_lost_ends_the_run(uncalibrated):
    lost = r"every load generator was lost \(here-1\)"
    one = Crew(here=1, may_lose=True)
    with (
        scripted(lambda *_: RIGHT) as server,
        crew(one) as generator,
        pytest.raises(ServerError, match=lost),
    ):
        lose(generator, order_for(server.url), psutil.Process.kill)


def test_worker_that_does_not_come_is_said_in_its_own_words():
    places = (Place.of("sh -c 'echo no route to load1 >&2' load1", None),)
    refusal = "the load generator load1 does not come: .*no route to load1"
    with pytest.raises(ServerError, match=refusal), crew(Crew(here=0, places=places)):
        pass


def test_worker_elsewhere_is_one_of_them(uncalibrated):
    both = Crew(here=1, places=(Place.of("env", None),))
    with scripted(lambda *_: RIGHT) as server, crew(both) as generator:
        result = generator.run(order_for(server.url))
    assert [row["name"] for row in result.workers] == ["env", "here-1"]


def test_nothing_is_left_of_them(uncalibrated):
    with crew(Crew(here=1, places=(Place.of("env", None),))):
        modules = ("loadtests.master", "loadtests.worker", "loadtests.away")
        family = [one for module in modules for one in processes(module).values()]
    assert len(family) == 4
    assert psutil.wait_procs(family, timeout=30)[1] == []


def test_second_worker_of_a_place_has_another_name():
    place = Place.of("env", None)
    assert Crew(2, (place, place)).names() == ["here-1", "here-2", "env", "env-2"]
