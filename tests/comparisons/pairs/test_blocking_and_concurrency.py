"""What blocks and what runs concurrently, by the order of events: no load, no clock."""

import asyncio
import contextvars
import gc
import inspect
import json
import queue
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx2
import pytest
import redis
from asgiref.sync import async_to_sync
from django.conf import settings
from django.test import AsyncClient, Client, RequestFactory
from django.urls import path

from comparisons import resources
from comparisons.pairs import (
    across_requests,
    async_keyword,
    bounded_concurrency,
    cache,
    dependent_awaits,
    fan_out_many,
    logging,
    shared_resource,
    start_up,
)
from tests.support.clients import PATIENCE, until

REQUEST = RequestFactory().get("/")


def answer_of(view):
    """What the view answers, whatever its colour: an async one in a loop of its own."""
    return async_to_sync(view)(REQUEST) if inspect.iscoroutinefunction(view) else view(REQUEST)


async def beside_a_heartbeat(view, events):
    """The view's response. `events` gets a "beat" whenever the event loop runs something else."""

    async def beat():
        while True:
            events.append("beat")
            await asyncio.sleep(0)

    beating = asyncio.create_task(beat())
    await asyncio.sleep(0)
    events.append("start")
    response = await view(REQUEST)
    events.append("end")
    beating.cancel()
    return response


def beats(events, first="start", last="end"):
    """How often the event loop ran something else between two events."""
    return events[events.index(first) : events.index(last)].count("beat")


def beats_of(view):
    events = []
    asyncio.run(beside_a_heartbeat(view, events))
    return beats(events)


class FakeUpstream:
    """An upstream whose clock is the event loop: a wait of N ms lasts N turns of the loop."""

    def __init__(self):
        self.events = []
        self.under_way = self.most_at_once = 0

    async def get(self, path):
        kind, *limit, ms = path.strip("/").split("/")
        ms = int(ms)
        if kind == "limited" and self.under_way >= int(limit[-1]):
            return httpx2.Response(503, json={"error": "too many"})
        self.events.append("ask")
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            for _ in range(ms):
                await asyncio.sleep(0)
        finally:
            self.under_way -= 1
        self.events.append("got")
        return httpx2.Response(200, json={"waited_ms": ms})


@pytest.fixture
def fake(monkeypatch):
    upstream = FakeUpstream()
    for module in (dependent_awaits, bounded_concurrency, across_requests):
        monkeypatch.setattr(module, "async_upstream", lambda: upstream)
    return upstream


async def turns(awaitable):
    """How many turns of the event loop it takes."""
    count = 0

    async def tick():
        nonlocal count
        while True:
            count += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    await awaitable
    ticking.cancel()
    return count


@pytest.fixture
def shared():
    """A client in place of the shared one; what it leaves behind in loops that have ended, and
    nobody can close any more, is collected here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            shared_resource,
            "SHARED",
            httpx2.AsyncClient(base_url=settings.UPSTREAM_URL, trust_env=False),
        )
        yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


# Those of bounded-concurrency have tests of their own: the real upstream's capacity is shared with
# whoever else uses it now.
VARIANTS = [
    pytest.param(module.comparison, variant, id=f"{module.comparison.slug}/{variant.name}")
    for module in (
        *(logging, async_keyword, fan_out_many, cache, shared_resource),
        *(dependent_awaits, across_requests, start_up),
    )
    for variant in module.comparison.variants
]


@pytest.fixture
def drained():
    """The upstream answers nobody any more: what an earlier view gave up is over."""
    until(lambda: not resources.upstream().get("/counts").json()["under_way"])


@pytest.mark.usefixtures("drained")
@pytest.mark.parametrize(("comparison", "variant"), VARIANTS)
def test_every_variant_answers_alike(comparison, variant, shared):
    expected, answer = answer_of(comparison.variants[0].view), answer_of(variant.view)
    assert json.loads(expected.content)
    assert (answer.status_code, answer.content) == (200, expected.content)


# --- logging --------------------------------------------------------------------------------------


def test_the_event_loop_runs_nothing_else_until_the_collector_has_confirmed_a_record(monkeypatch):
    emit, events = logging.CollectorHandler.emit, []

    def emit_and_tell(self, record):
        events.append("sending")
        emit(self, record)
        events.append("confirmed")

    monkeypatch.setattr(logging.CollectorHandler, "emit", emit_and_tell)
    asyncio.run(beside_a_heartbeat(logging.async_blocking, events))
    assert beats(events, "sending", "confirmed") == 0
    assert beats(events) > 0  # it does while the view waits for the upstream


def test_a_view_that_queues_a_record_answers_before_the_collector_confirms_it(monkeypatch):
    sending, may_confirm, confirmed = (threading.Event() for _ in range(3))

    def emit_when_allowed(self, record):
        sending.set()
        may_confirm.wait(PATIENCE)
        confirmed.set()

    monkeypatch.setattr(logging.CollectorHandler, "emit", emit_when_allowed)
    assert beats_of(logging.async_queued) > 0
    assert sending.wait(PATIENCE)
    assert not confirmed.is_set()
    may_confirm.set()
    assert confirmed.wait(PATIENCE)


def test_a_full_queue_loses_records_and_makes_nobody_wait(monkeypatch):
    records = queue.Queue()
    monkeypatch.setattr(logging, "RECORDS", records)
    monkeypatch.setattr(logging, "MOST_QUEUED", 2)
    monkeypatch.setattr(logging, "start_listener", lambda: None)  # nobody empties it
    for number in range(4):
        logging.queued.info("record %d", number)
    assert [records.get_nowait().message for _ in range(records.qsize())] == [
        "record 0",
        "record 1",
    ]


def test_what_is_queued_when_the_process_ends_is_sent_before():
    program = """
        import django, threading
        django.setup()
        from comparisons.pairs import logging
        emit, ended = logging.CollectorHandler.emit, threading.Event()
        def emit_and_tell(self, record):
            ended.wait()
            emit(self, record)
            print(record.getMessage())
        logging.CollectorHandler.emit = emit_and_tell
        for number in range(5):
            logging.queued.info("record %d", number)
        print("end")
        ended.set()
    """
    done = subprocess.run(
        [sys.executable, "-c", inspect.cleandoc(program)],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    # The program did not wait for them: they are sent at its end.
    assert done.stdout.splitlines() == ["end", *(f"record {number}" for number in range(5))]


def test_print_has_written_before_the_event_loop_runs_anything_else(monkeypatch):
    events = []

    class Stream:
        def write(self, text):
            events.append("written")

    monkeypatch.setattr(sys, "stdout", Stream())
    asyncio.run(beside_a_heartbeat(logging.async_print, events))
    assert beats(events, "start", "written") == 0


# --- async-keyword --------------------------------------------------------------------------------


def calls_with(n, wanted):
    """How many of the calls of fib(n) have an argument greater than 1 that `wanted` divides."""
    if n <= 1:
        return 0
    return (n % wanted == 0) + calls_with(n - 1, wanted) + calls_with(n - 2, wanted)


@pytest.mark.parametrize("view", [async_keyword.async_blocking, async_keyword.async_def])
def test_a_coroutine_that_awaits_only_itself_runs_like_a_function_to_its_end(view):
    assert beats_of(view) == 0


def test_the_event_loop_runs_at_every_pause_and_only_then():
    pauses = calls_with(async_keyword.N, async_keyword.PAUSE_AT)
    too_many = calls_with(async_keyword.N, async_keyword.PAUSE_TOO_OFTEN)
    assert pauses == 55  # the expectations count on it
    assert beats_of(async_keyword.async_yielding) == pauses
    assert beats_of(async_keyword.async_too_eager) == too_many > 100 * pauses


# --- fan-out-many ---------------------------------------------------------------------------------


def most_tasks(view):
    """How many tasks the event loop had at once, beside the one that looks and the view's own."""
    most = 0

    async def look_around():
        async def look():
            nonlocal most
            while True:
                most = max(most, len(asyncio.all_tasks()) - 2)
                await asyncio.sleep(0)

        looking = asyncio.create_task(look())
        await view(REQUEST)
        looking.cancel()

    asyncio.run(look_around())
    return most


@pytest.mark.parametrize("view", [fan_out_many.async_gather_all, fan_out_many.async_semaphore])
def test_every_item_has_a_task_at_once_if_all_are_gathered_even_with_a_semaphore(view):
    assert most_tasks(view) == fan_out_many.ITEMS


@pytest.mark.parametrize("view", [fan_out_many.async_batches, fan_out_many.async_bounded])
def test_there_are_never_more_tasks_than_the_bound(view):
    assert most_tasks(view) == fan_out_many.AT_ONCE


@pytest.mark.parametrize(
    ("view", "runs_between"),
    [
        (fan_out_many.async_gather_all, False),
        (fan_out_many.async_batches, True),
        (fan_out_many.async_bounded, True),
    ],
)
def test_the_event_loop_runs_between_the_first_item_and_the_last_unless_all_are_gathered(
    view, runs_between, monkeypatch
):
    events = []

    async def send(item):
        events.append(item)
        await asyncio.sleep(0)
        return 1

    monkeypatch.setattr(fan_out_many, "send", send)
    asyncio.run(beside_a_heartbeat(view, events))
    assert (beats(events, 0, fan_out_many.ITEMS - 1) > 0) is runs_between


# --- cache ----------------------------------------------------------------------------------------


def test_the_sync_client_lets_nothing_else_run():
    assert beats_of(cache.async_blocking) == 0


@pytest.mark.parametrize("view", [cache.async_threaded, cache.async_django, cache.async_native])
def test_the_event_loop_runs_while_the_cache_is_written(view):
    assert beats_of(view) > 0


@pytest.mark.parametrize(
    "view", [cache.sync, cache.async_blocking, cache.async_threaded, cache.async_native]
)
def test_the_value_is_in_the_cache_until_it_expires(view):
    resources.redis_client().delete(cache.KEY)
    assert answer_of(view).status_code == 200
    assert resources.redis_client().get(cache.KEY) == cache.VALUE.encode()
    assert 0 < resources.redis_client().ttl(cache.KEY) <= cache.SECONDS


@pytest.mark.parametrize(("view", "opened"), [(cache.async_django, 3), (cache.async_threaded, 0)])
def test_djangos_cache_opens_a_connection_for_each_request_of_an_event_loop(
    view, opened, monkeypatch
):
    cache.sync(REQUEST)  # the client that is shared has its connection by now
    connect, connections = redis.connection.Connection.connect, set()

    def connect_and_count(self):
        if not self._sock:
            connections.add(id(self))
            kept.append(self)  # or another could get its id
        return connect(self)

    kept = []
    monkeypatch.setattr(redis.connection.Connection, "connect", connect_and_count)

    async def three_requests():
        for _ in range(3):
            await asyncio.create_task(view(REQUEST))  # with a context of its own, as servers do

    contextvars.Context().run(asyncio.run, three_requests())  # with no cache of other tests'
    assert len(connections) == opened
    for connection in kept:
        connection.disconnect()


# --- dependent-awaits -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("view", "seconds", "events"),
    [
        (dependent_awaits.async_sequential, dependent_awaits.SUM, "ask got " * 4),
        # All of a stage ends before any of the next is asked.
        (dependent_awaits.async_stages, dependent_awaits.STAGES, "ask ask got got " * 2),
        # What needs the customer is asked as soon as they are known, while the rates are under way.
        (
            dependent_awaits.async_by_dependency,
            dependent_awaits.CRITICAL_PATH,
            "ask ask got ask ask got got got",
        ),
    ],
)
def test_a_request_takes_the_sum_the_stages_or_the_critical_path(view, seconds, events, fake):
    took = asyncio.run(turns(view(REQUEST)))
    assert fake.events == events.split()
    # A turn a ms, and some turns for the tasks' starts and ends.
    assert 1000 * seconds <= took <= 1000 * seconds + 20


# --- bounded-concurrency --------------------------------------------------------------------------


async def answers(view, requests):
    return await asyncio.gather(*(view(REQUEST) for _ in range(requests)))


async def statuses(view, requests):
    return [answer.status_code for answer in await answers(view, requests)]


ALL_SERVED = json.dumps({"served": bounded_concurrency.CALLS}).encode()


def test_one_request_alone_asks_for_more_than_the_capacity_and_fails(fake):
    assert asyncio.run(statuses(bounded_concurrency.async_unbounded, 1)) == [503]


def test_a_semaphore_of_its_own_is_enough_for_one_request_and_not_for_two(fake):
    assert asyncio.run(statuses(bounded_concurrency.async_own_semaphore, 1)) == [200]
    assert 503 in asyncio.run(statuses(bounded_concurrency.async_own_semaphore, 2))


@pytest.mark.parametrize(
    "view", [bounded_concurrency.async_semaphore, bounded_concurrency.async_worker_queue]
)
def test_a_shared_bound_uses_the_whole_capacity_and_no_more(view, fake):
    served = asyncio.run(answers(view, 5))
    assert {(answer.status_code, answer.content) for answer in served} == {(200, ALL_SERVED)}
    assert fake.most_at_once == bounded_concurrency.CAPACITY


@pytest.mark.parametrize(
    "view", [bounded_concurrency.async_semaphore, bounded_concurrency.async_worker_queue]
)
def test_a_request_that_is_cancelled_gives_its_share_of_the_capacity_back(view, fake):
    async def cancel_some_and_ask_again():
        cancelled = [asyncio.create_task(view(REQUEST)) for _ in range(3)]
        for _ in range(bounded_concurrency.WAIT_MS // 2):
            await asyncio.sleep(0)
        for task in cancelled:
            task.cancel()
        await asyncio.gather(*cancelled, return_exceptions=True)
        return await statuses(view, 5)

    assert asyncio.run(cancel_some_and_ask_again()) == [200] * 5
    assert fake.most_at_once == bounded_concurrency.CAPACITY


@pytest.mark.parametrize(
    ("view", "at_once"),
    [
        (bounded_concurrency.sync, 5),  # one call a request
        (bounded_concurrency.sync_threads, bounded_concurrency.CAPACITY),
    ],
)
def test_the_number_of_threads_bounds_the_calls_of_all_requests(view, at_once, monkeypatch):
    under_way, most, lock = 0, 0, threading.Lock()
    all_there = threading.Barrier(at_once)

    class Counting:
        def get(self, path):
            nonlocal under_way, most
            with lock:
                under_way += 1
                most = max(most, under_way)
            all_there.wait(PATIENCE)  # the 60 calls come in groups of as many as can wait at once
            with lock:
                under_way -= 1
            return httpx2.Response(200)

    client = Counting()
    monkeypatch.setattr(bounded_concurrency, "upstream", lambda: client)
    with ThreadPoolExecutor(5) as users:
        served = list(users.map(view, [REQUEST] * 5))
    assert {(answer.status_code, answer.content) for answer in served} == {(200, ALL_SERVED)}
    assert most == at_once


# --- across-requests ------------------------------------------------------------------------------


def test_a_request_waits_for_one_call_after_another_and_many_requests_wait_together(fake):
    view = across_requests.async_sequential
    one = asyncio.run(turns(view(REQUEST)))
    assert fake.events == ["ask", "got", "ask", "got"]
    assert fake.most_at_once == 1
    assert one >= 1000 * across_requests.SUM

    many = asyncio.run(turns(statuses(view, 50)))
    assert fake.most_at_once == 50
    assert many <= one + 20


# --- start-up -------------------------------------------------------------------------------------

seen = []  # (thread, event loop or None) that a view of these URLs ran in


def sync_view(request):
    seen.append((threading.get_ident(), None))
    return start_up.sync(request)


async def async_view(request):
    seen.append((threading.get_ident(), asyncio.get_running_loop()))
    return await start_up.async_native(request)


urlpatterns = [path("sync/", sync_view), path("async/", async_view)]


@contextmanager
def views_seen():
    seen.clear()
    yield seen
    seen.clear()


@pytest.mark.urls(__name__)
def test_under_wsgi_every_request_to_an_async_view_has_a_thread_and_a_loop_that_end_with_it():
    with views_seen() as places:
        for _ in range(2):
            assert Client().get("/async/").status_code == 200
        (first_thread, first), (second_thread, second) = places
    assert first is not second
    assert first.is_closed()
    assert second.is_closed()
    assert threading.get_ident() not in (first_thread, second_thread)


@pytest.mark.urls(__name__)
def test_under_wsgi_a_sync_view_runs_where_it_is_called():
    with views_seen() as places:
        Client().get("/sync/")
        assert places == [(threading.get_ident(), None)]


@pytest.mark.urls(__name__)
def test_under_asgi_a_sync_view_runs_in_a_thread_and_an_async_view_in_the_loops():
    async def both():
        for url in ("/sync/", "/async/"):
            await AsyncClient().get(url)

    with views_seen() as places:
        asyncio.run(both())
        (sync_thread, _), (async_thread, _) = places
    assert async_thread == threading.get_ident() != sync_thread


@pytest.mark.parametrize(
    "script", sorted(start_up.SCRIPTS.glob("*_script.py")), ids=lambda p: p.stem
)
def test_a_script_is_a_whole_program_without_django(script):
    run = f"import runpy, sys; runpy.run_path({str(script)!r}, run_name='__main__')"
    code = f"{run}; assert 'django' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


# --- shared-resource ------------------------------------------------------------------------------


def test_a_connection_that_another_loop_has_left_behind_fails_and_says_why(shared):
    answers = [async_to_sync(shared_resource.async_shared_client)(REQUEST) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 503, 200, 503]
    assert json.loads(answers[1].content) == {"error": "RuntimeError: Event loop is closed"}


def test_in_one_loop_a_shared_client_serves_all(shared):
    async def in_turn_and_together():
        alone = await statuses(shared_resource.async_shared_client, 1)
        found = alone + await statuses(shared_resource.async_shared_client, 3)
        await shared_resource.SHARED.aclose()
        return found

    assert asyncio.run(in_turn_and_together()) == [200] * 4


def test_a_client_for_each_loop_serves_all_of_them():
    answers = [async_to_sync(shared_resource.async_client_per_loop)(REQUEST) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3


def test_threads_share_a_sync_client():
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(shared_resource.sync, [REQUEST] * 8))
    assert {answer.status_code for answer in answers} == {200}
