"""Where a body is while it comes, who waits for it, and what is left when its client leaves."""

import asyncio
import json
import socket
import threading
from contextlib import contextmanager

import pytest
from django.core.asgi import get_asgi_application
from django.test import override_settings
from django.urls import path

from comparisons import floor
from comparisons.pairs import uploads as pair
from project.direct import DirectASGIHandler
from tests.support.asgi import Exchange, ask, run
from tests.support.clients import PATIENCE, answer, get_many, loop_until
from tests.support.postgres import server_of

called = []  # for each call of a view, whether its request's body is on disk


def noting(view):
    def note(request):
        called.append(request._stream._rolled)
        return view(request)

    async def async_note(request):
        called.append(request._stream._rolled)
        return await view(request)

    return async_note if asyncio.iscoroutinefunction(view) else note


urlpatterns = [path(f"{view.__name__}/", noting(view)) for view in (pair.sync, pair.async_native)]
urlpatterns += [path("async_body/", noting(pair.async_body))]
HANDLERS = pytest.mark.parametrize("handler", [get_asgi_application, DirectASGIHandler])
LIMIT = 10  # bytes
OF_THIS_FILE = override_settings(
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[],
    FILE_UPLOAD_MAX_MEMORY_SIZE=LIMIT,
    DATA_UPLOAD_MAX_MEMORY_SIZE=LIMIT,
)
PIECES = [b"piece"] * 4


@pytest.fixture(autouse=True)
def nothing_called():
    called.clear()


def posted(pieces):
    """How a client posts these, who says how long they are all together."""
    length = str(sum(map(len, pieces))).encode()
    headers = [(b"host", b"localhost"), (b"content-length", length)]
    return {"method": "POST", "headers": headers}


@pytest.mark.parametrize("view", ["sync", "async_native"])
@HANDLERS
@OF_THIS_FILE
def test_view_under_asgi_is_called_when_all_of_its_body_has_come(handler, view):
    threads = set(threading.enumerate())

    async def main():
        exchange = Exchange(handler(), f"/{view}/", body=PIECES[:3], whole=False, **posted(PIECES))
        await loop_until(exchange.incoming.empty)
        await asyncio.sleep(0.02)  # for what might be called now
        assert not called
        assert set(threading.enumerate()) <= threads
        exchange.say({"type": "http.request", "body": PIECES[3]})
        await exchange.end()
        assert json.loads(exchange.body) == {"whole": True}

    run(main())
    assert called == [True]  # and all of it was on disk


@HANDLERS
@OF_THIS_FILE
def test_small_body_is_in_memory(handler):
    run(ask(handler(), "/async_native/", body=PIECES[:2], **posted(PIECES[:2])))
    assert called == [False]


@HANDLERS
@OF_THIS_FILE
def test_body_above_the_limit_is_refused_when_all_of_it_has_come(handler):
    async def main():
        how = posted(PIECES)
        exchange = Exchange(handler(), "/async_body/", body=PIECES[:3], whole=False, **how)
        await loop_until(exchange.incoming.empty)
        await asyncio.sleep(0.02)
        assert not exchange.sent  # though Content-Length has told all that it needs
        exchange.say({"type": "http.request", "body": PIECES[3]})
        await exchange.end()
        assert exchange.status in (400, 413)

    run(main())


@HANDLERS
@OF_THIS_FILE
def test_client_who_leaves_before_the_end_calls_no_view_and_leaves_no_task(handler):
    async def main():
        how = posted(PIECES)
        exchange = Exchange(handler(), "/async_native/", body=PIECES[:3], whole=False, **how)
        await loop_until(exchange.incoming.empty)
        await exchange.leave()
        assert not exchange.sent

    run(main())  # which says if a task is left
    assert not called


def test_application_beside_django_has_the_first_piece_before_the_last_has_come(monkeypatch):
    got = []
    stream = floor.Request.stream

    async def recorded(request):
        async for piece in stream(request):
            got.append(piece)
            yield piece

    monkeypatch.setattr(floor.Request, "stream", recorded)

    async def main():
        url, how = "/uploads/async_streaming/", posted(PIECES)
        exchange = Exchange(floor.starlette, url, body=PIECES[:3], whole=False, **how)
        await loop_until(lambda: got == PIECES[:3])
        exchange.say({"type": "http.request", "body": PIECES[3]})
        await exchange.end()
        assert json.loads(exchange.body) == {"whole": True}

    run(main())


@pytest.mark.parametrize("view", ["sync", "async_native"])
@OF_THIS_FILE
def test_body_that_is_shorter_than_announced_is_not_whole(view):
    short = run(ask(get_asgi_application(), f"/{view}/", body=PIECES[:3], **posted(PIECES)))
    assert json.loads(short.body) == {"whole": False}


# --- A slow client of a real server


@contextmanager
def half_sent(server, path):
    """A client that has sent half; yields a function that sends the rest and returns the status."""
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\n"
        client.sendall(f"{head}half".encode())

        def send_the_rest():
            client.sendall(b"more")
            return int(client.recv(1000).split()[1])

        yield send_the_rest


@pytest.mark.parametrize("variant", ["sync", "async_native", "async_direct"])
def test_others_are_answered_while_a_client_sends(variant):
    with server_of(pair, variant) as (server, path), half_sent(server, path) as send_the_rest:
        assert get_many(server, "/bystander/", 5) == {200: 5}
        assert send_the_rest() == 200


def test_nobody_else_is_answered_while_a_client_sends_to_the_only_thread():
    async def main(server, path):
        with half_sent(server, path) as send_the_rest:
            await asyncio.sleep(0.1)  # the thread has it
            other = asyncio.create_task(answer(server, "/bystander/"))
            await asyncio.sleep(0.2)  # more than enough for an answer
            assert not other.done()
            assert send_the_rest() == 200
        assert (await other)[0] == 200

    with server_of(pair, "sync_one_thread") as (server, path):
        asyncio.run(main(server, path))
