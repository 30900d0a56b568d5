"""When events are sent, and what goes on when their listener has left."""

import asyncio
import threading
import time
import warnings

import pytest
from django.core.asgi import get_asgi_application
from django.test import override_settings
from django.urls import path

from comparisons.pairs import server_sent_events as pair
from loadtests.running import servers
from project.deployments import DEPLOYMENTS
from project.direct import DirectASGIHandler
from tests.support.asgi import Exchange, run
from tests.support.clients import answer, asked, loop_until, until
from tests.support.postgres import path_of, server_of

urlpatterns = [
    path("sync_iterator/", pair.async_sync_iterator),
    path("native/", pair.async_native),
]
HANDLERS = pytest.mark.parametrize("handler", [get_asgi_application, DirectASGIHandler])
OF_THIS_FILE = override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[])


@pytest.mark.parametrize("variant", pair.comparison.variants, ids=lambda v: v.name)
def test_stream_is_the_same_however_it_is_sent(variant, rf):
    request = rf.get("/?seconds=0")

    async def of_async():
        response = await variant.view(request)
        return [part async for part in response]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sent = asyncio.run(of_async()) if variant.is_async else list(variant.view(request))
    assert sent == [pair.EVENT.encode()] * pair.EVENTS


def test_sync_generator_sends_an_event_before_it_waits_for_the_next(rf, monkeypatch):
    happened = []
    monkeypatch.setattr(pair.time, "sleep", lambda _: happened.append("waited"))
    for _ in pair.sync(rf.get("/")):
        happened.append("sent")
    assert happened == ["sent", "waited"] * pair.EVENTS


@HANDLERS
@OF_THIS_FILE
def test_async_generator_ends_when_its_listener_leaves_and_leaves_no_thread(handler):
    threads = set(threading.enumerate())

    async def main():
        exchange = Exchange(handler(), "/native/?seconds=60")
        await exchange.has_sent(2)  # the headers and an event
        assert len(pair.LISTENERS) == 1
        await exchange.leave()
        assert not pair.LISTENERS
        assert exchange.chunks == [pair.EVENT.encode()]

    run(main())  # which says if a task is left
    until(lambda: set(threading.enumerate()) <= threads)


@HANDLERS
@OF_THIS_FILE
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous")
def test_sync_iterator_under_asgi_goes_on_in_its_thread_when_its_listener_has_left(
    handler, monkeypatch
):
    left = threading.Event()
    waits = []

    def wait(_):
        assert left.wait(60)
        waits.append(threading.current_thread())

    monkeypatch.setattr(pair.time, "sleep", wait)

    async def main():
        exchange = Exchange(handler(), "/sync_iterator/")
        await loop_until(lambda: pair.LISTENERS)
        exchange.disconnect()
        await loop_until(exchange.incoming.empty)
        await asyncio.sleep(0.02)  # it has heard of it
        assert len(pair.LISTENERS) == 1
        left.set()
        await exchange.end()
        assert len(waits) == pair.EVENTS
        assert threading.main_thread() not in waits
        assert not exchange.chunks  # nobody has ever heard of any
        assert not pair.LISTENERS

    run(main())


ENDLESS = {"DJANGO_SETTINGS_MODULE": "tests.support.endless_settings"}


@pytest.mark.parametrize("variant", ["sync", "async_native", "async_direct"])
def test_listener_who_has_left_is_none_when_an_event_cannot_be_sent(variant):
    """That is one of the next two: the first makes the client's kernel say that nobody is there."""

    def listeners(server):
        _, body = asyncio.run(answer(server, "/listeners/"))
        return int(body)

    async def listen_and_leave(server, path):
        async with asked(server, f"{path}?seconds=60") as listener:
            for _ in range(3):
                await listener.readuntil(pair.EVENT.encode())
            _, body = await answer(server, "/listeners/")
            assert int(body) == 1

    with server_of(pair, variant, **ENDLESS) as (server, path):
        asyncio.run(listen_and_leave(server, path))
        left = time.monotonic()
        until(lambda: not listeners(server))
        assert time.monotonic() < left + 30  # of 60


def test_listener_under_wsgi_holds_a_thread():
    deployment = DEPLOYMENTS["wsgi-threads"].shaped(threads=1)

    async def main(server):
        async with asked(server, f"{path_of(pair, 'sync')}?seconds=60") as listener:
            await listener.readuntil(pair.EVENT.encode())
            other = asyncio.create_task(answer(server, "/bystander/"))
            for _ in range(5):
                await listener.readuntil(pair.EVENT.encode())
                assert not other.done()
        assert (await other)[0] == 200

    with servers.serving([deployment], [ENDLESS]) as (server,):
        asyncio.run(main(server))
