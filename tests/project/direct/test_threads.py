"""The thread of a request: when there is one, and what becomes of what it holds."""

import asyncio
import threading

import pytest
from asgiref.sync import SyncToAsync, sync_to_async
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.signals import request_started
from django.db import connections
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse

from project.direct import DirectASGIHandler
from tests.support.asgi import ask, run, side
from tests.support.clients import PATIENCE
from tests.support.coloured import (
    SIGNALS,
    SyncHooks,
    WaitingSyncView,
    async_view,
    coloured,
    each_colour,
    sync_middleware,
    sync_view,
    view_that_waits,
)

ours_only = pytest.mark.parametrize("handler", [DirectASGIHandler], indirect=True)


async def view_that_reads_the_body(request, rest=""):
    return HttpResponse(request.body)


async def view_that_reads_the_form(request, rest=""):
    return JsonResponse(request.POST)


async def view_that_streams(request, rest=""):
    async def parts():
        yield b"one"
        await asyncio.sleep(0)
        yield b"two"

    return StreamingHttpResponse(parts())


async def view_that_uses_the_cache(request, rest=""):
    cache = caches["default"]
    cache.set("key", "value")
    return HttpResponse(cache.get("key"))


LOCAL_CACHE = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
POSTED = {"method": "POST", "headers": [(b"content-type", b"application/x-www-form-urlencoded")]}


@pytest.mark.parametrize(
    ("view", "how", "status"),
    [
        (async_view, {}, 200),
        (view_that_waits, {}, 200),
        (view_that_streams, {}, 200),
        (view_that_uses_the_cache, {}, 200),
        (view_that_reads_the_body, {"body": [b"one", b"two"]}, 200),
        (view_that_reads_the_form, POSTED | {"body": [b"a=1&b=2"]}, 200),
        (async_view, {"query_string": b"\xff"}, 400),
    ],
)
def test_request_that_needs_no_thread_starts_none(site, handler, threads, view, how, status):
    exchange = run(ask(site(view, CACHES=LOCAL_CACHE), **how))
    assert exchange.status == status
    assert (threads == []) == (handler is DirectASGIHandler)


def test_async_receivers_alone_start_no_thread(site, connect, handler, threads, events):
    for name, signal in SIGNALS.items():
        connect(signal, coloured("async", lambda name=name, **_: events.happen(name)), weak=False)
    run(ask(site(async_view)))
    assert events == [("started", "loop"), ("finished", "loop")]
    assert (threads == []) == (handler is DirectASGIHandler)


@ours_only
def test_many_waiting_requests_have_no_thread(site, threads):
    all_wait = asyncio.Barrier(100)

    async def view(request):
        await all_wait.wait()
        return HttpResponse()

    async def main():
        application = site(view)
        answers = await asyncio.gather(*(ask(application) for _ in range(100)))
        assert [answer.status for answer in answers] == [200] * 100

    run(main())
    assert threads == []


@ours_only
def test_all_sync_code_of_a_request_shares_one_thread(site, connect, threads):
    connect(request_started, lambda **_: None, weak=False)
    run(ask(site(sync_view, SyncHooks, sync_middleware)))
    assert len([name for name in threads if name.startswith("ThreadPoolExecutor")]) == 1


def test_threads_of_two_requests_at_once_are_two_and_end(site):
    both = threading.Barrier(2)
    seen = []

    def view(request):
        both.wait(PATIENCE)
        seen.append(threading.current_thread())
        return HttpResponse()

    async def main():
        application = site(view)
        await asyncio.gather(ask(application), ask(application))

    run(main())
    assert len(set(seen)) == 2
    for thread in seen:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_thread_of_a_request_takes_no_work_after_it(site):
    """It is ended at once, not when the garbage collector comes."""
    executors = []

    async def view(request):
        await sync_to_async(side)()
        context = SyncToAsync.thread_sensitive_context.get()
        executors.append(SyncToAsync.context_to_thread_executor[context])
        return HttpResponse()

    run(ask(site(view)))
    with pytest.raises(RuntimeError, match="after shutdown"):
        executors[0].submit(side)


# --- What the thread holds: connections, and caches


@each_colour
@pytest.mark.parametrize(
    ("max_age", "broken", "closed"), [(0, False, True), (None, False, False), (None, True, True)]
)
def test_connection_of_the_requests_thread_is_closed_or_kept_there(
    site, monkeypatch, used_connection, colour, max_age, broken, closed
):
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", max_age)

    def view(request):
        used_connection["use"](broken)
        return HttpResponse()

    async def view_in_thread(request):
        return await sync_to_async(view)(request)

    exchange = run(ask(site({"sync": view, "async": view_in_thread}[colour])))
    assert exchange.status == 200
    assert (used_connection["connection"].connection is None) == closed
    assert used_connection["closed"] == ([used_connection["thread"]] if closed else [])


def test_connection_is_closed_where_only_a_receiver_used_it(site, connect, used_connection):
    connect(request_started, lambda **_: used_connection["use"](), weak=False)
    run(ask(site(async_view)))
    assert used_connection["closed"] == [used_connection["thread"]]


def test_connection_is_closed_where_the_client_left_during_the_query(site, used_connection):
    waiting = WaitingSyncView(before=used_connection["use"])
    assert run(waiting.left(site(waiting.view))).sent == []
    assert used_connection["closed"] == [used_connection["thread"]]


class ClosingCache(LocMemCache):
    """A cache that has something to close."""

    closed = []

    def close(self, **_):
        self.closed.append(side())


CLOSING_CACHE = {"BACKEND": f"{__name__}.ClosingCache"}


@pytest.mark.parametrize("colour", ["sync", "async", "in a thread", "in another thread"])
def test_cache_that_the_request_used_is_closed_once_in_a_thread(site, monkeypatch, later, colour):
    """Django 5.2's own never closes it: it forgets the cache with the task of the view."""
    monkeypatch.setattr(ClosingCache, "closed", [])

    def view(request):
        caches["default"].get("key")
        return HttpResponse()

    async def in_thread(request):
        own = colour == "in a thread"  # the request's own
        return await sync_to_async(view, thread_sensitive=own)(request)

    of_colour = in_thread if "thread" in colour else coloured(colour, view)
    run(ask(site(of_colour, CACHES={"default": CLOSING_CACHE})))
    assert ClosingCache.closed == (["thread"] if later else [])


def test_cache_that_the_request_did_not_use_is_not_closed(site, monkeypatch, handler, threads):
    monkeypatch.setattr(ClosingCache, "closed", [])
    run(ask(site(async_view, CACHES={"default": CLOSING_CACHE})))
    assert ClosingCache.closed == []
    assert (threads == []) == (handler is DirectASGIHandler)


@pytest.mark.parametrize("unused", [{"BACKEND": "not.installed.Cache"}, {"LOCATION": "nowhere"}])
def test_cache_that_cannot_be_made_and_is_not_used_does_no_harm(site, unused):
    exchange = run(ask(site(async_view, CACHES=LOCAL_CACHE | {"unused": unused})))
    assert exchange.status == 200


@ours_only
def test_cache_without_close_is_known_as_such(site, threads):
    assert LocMemCache.close is BaseCache.close
    run(ask(site(view_that_uses_the_cache, CACHES=LOCAL_CACHE)))
    assert threads == []
