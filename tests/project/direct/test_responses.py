"""The response's end: what is closed, when and where; and streams."""

import asyncio
import threading

import pytest
from asgiref.sync import sync_to_async
from django.core.signals import request_finished
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from tests.support.asgi import Exchange, ask, run
from tests.support.coloured import (
    HAPPENED,
    BoomError,
    async_view,
    coloured,
    each_colour,
)


def closed_of(response, happened):
    """Give the response three closers, the second of which fails."""

    def fail():
        happened.happen("second")
        raise BoomError

    response._resource_closers += [
        lambda: happened.happen("first"),
        fail,
        lambda: happened.happen("third"),
    ]
    return response


@each_colour
def test_closers_run_once_in_order_in_a_thread_though_one_fails(site, events, colour):
    response = HttpResponse(b"answer")
    exchange = run(ask(site(coloured(colour, lambda request: closed_of(response, events)))))
    assert exchange.body == b"answer"
    assert events == [(name, "thread") for name in ("first", "second", "third")]
    assert response.closed


def test_closers_run_in_the_thread_of_the_request(site):
    places = []

    async def view(request):
        response = HttpResponse()
        response._resource_closers.append(lambda: places.append(threading.get_ident()))
        await sync_to_async(lambda: places.append(threading.get_ident()))()
        return response

    run(ask(site(view)))
    assert len(places) == 2
    assert len(set(places)) == 1


@each_colour
def test_response_is_closed_before_request_finished(site, connect, events, colour):
    responses = []
    connect(
        request_finished,
        coloured(colour, lambda **_: events.append(responses[0].closed)),
        weak=False,
    )

    async def view(request):
        responses.append(HttpResponse())
        return responses[0]

    run(ask(site(view)))
    assert events == [True]


def test_closed_response_keeps_nothing_to_close(site):
    responses = []

    async def view(request):
        responses.append(HttpResponse())
        return responses[0]

    run(ask(site(view)))
    assert (responses[0].closed, responses[0]._resource_closers) == (True, [])


def test_body_is_closed_before_request_finished(site, connect, events):
    streams = []

    async def finished(**_):
        events.append(streams[0].closed)

    async def view(request):
        streams.append(request._stream)
        return HttpResponse()

    connect(request_finished, finished)
    run(ask(site(view)))
    assert events == [True]


def test_closers_of_an_error_response_run_in_a_thread(site, happened, monkeypatch, handler):
    response = closed_of(HttpResponse(status=400), happened)
    monkeypatch.setattr(handler, "create_request", lambda *_: (None, response))
    assert run(ask(site(async_view))).status == 400
    assert happened == [(name, "thread") for name in ("first", "second", "third")]


class ResponseWithClose(HttpResponse):
    def close(self):
        HAPPENED.happen("close")
        super().close()


def of_class():
    return ResponseWithClose()


def of_instance():
    response = HttpResponse()
    close = response.close
    response.close = lambda: [HAPPENED.happen("close"), close()]
    return response


@each_colour
@pytest.mark.parametrize("make", [of_class, of_instance])
def test_close_of_the_response_itself_runs_once_in_a_thread(
    site, connect, happened, events, make, colour
):
    connect(request_finished, lambda **_: events.append("finished"), weak=False)
    run(ask(site(coloured(colour, lambda request: make()))))
    assert (happened, events) == ([("close", "thread")], ["finished"])


@pytest.mark.parametrize("make", [of_class, of_instance])
def test_close_of_the_response_runs_where_nothing_else_needs_a_thread(site, happened, make):
    run(ask(site(coloured("async", lambda request: make()))))
    assert happened == [("close", "thread")]


def test_close_of_all_responses_that_was_replaced_runs(site, monkeypatch, happened):
    """As those who watch applications do."""
    close = HttpResponseBase.close

    def watched(response):
        happened.happen("close")
        close(response)

    monkeypatch.setattr(HttpResponseBase, "close", watched)
    run(ask(site(async_view)))
    assert happened == [("close", "thread")]


def test_close_of_the_request_that_the_view_replaced_runs_in_a_thread(site, happened):
    async def view(request):
        request.close = lambda: happened.happen("close")
        return HttpResponse()

    run(ask(site(view)))
    assert happened == [("close", "thread")]


def test_stream_of_the_request_that_cannot_be_closed_does_no_harm(site, connect, events):
    connect(request_finished, coloured("async", lambda **_: events.append("finished")), weak=False)

    async def view(request):
        request._stream = None
        return HttpResponse(b"answer")

    exchange = run(ask(site(view)))
    assert (exchange.body, events) == (b"answer", ["finished"])


def test_response_that_the_view_has_closed_is_sent(site):
    async def view(request):
        response = HttpResponse(b"answer")
        await sync_to_async(response.close)()
        return response

    assert run(ask(site(view))).body == b"answer"


# --- Streaming


class SyncParts:
    """An iterator that can be closed, as files and generators can."""

    def __init__(self, happened, parts=(b"one", b"two")):
        self.happened, self.parts = happened, iter(parts)

    def __iter__(self):
        return self

    def __next__(self):
        self.happened.happen("next")
        return next(self.parts)

    def close(self):
        self.happened.happen("close")


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators")
@each_colour
def test_sync_iterator_is_streamed_and_closed_in_a_thread(site, events, colour):
    view = coloured(colour, lambda request: StreamingHttpResponse(SyncParts(events)))
    exchange = run(ask(site(view)))
    assert exchange.chunks == [b"one", b"two"]
    assert events == [("next", "thread")] * 3 + [("close", "thread")]


@each_colour
def test_async_iterator_is_streamed_part_by_part_on_the_loop(site, events, colour):
    go_on = asyncio.Event()

    async def parts():
        events.happen("one")
        yield b"one"
        await go_on.wait()
        events.happen("two")
        yield b"two"

    async def main():
        exchange = Exchange(site(coloured(colour, lambda request: StreamingHttpResponse(parts()))))
        await exchange.has_sent(2)
        assert exchange.chunks == [b"one"]
        go_on.set()
        await exchange.end()
        assert exchange.chunks == [b"one", b"two"]
        assert exchange.sent[-1] == {"type": "http.response.body"}

    run(main())
    assert events == [("one", "loop"), ("two", "loop")]


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators")
@each_colour
def test_file_is_sent_in_the_handlers_chunks_and_closed(site, tmp_path, handler, colour):
    size = handler.chunk_size + 1
    (tmp_path / "file").write_bytes(b"x" * size)
    opened = []

    def view(request):
        opened.append((tmp_path / "file").open("rb"))
        return FileResponse(opened[0])

    exchange = run(ask(site(coloured(colour, view))))
    assert exchange.headers["content-length"] == str(size)
    assert [len(chunk) for chunk in exchange.chunks] == [handler.chunk_size, 1]
    assert opened[0].closed


def test_exception_in_a_stream_reaches_the_server_with_its_cause(site):
    cause = KeyError("cause")

    async def parts():
        yield b"one"
        raise BoomError from cause

    async def main():
        exchange = Exchange(site(coloured("async", lambda request: StreamingHttpResponse(parts()))))
        with pytest.raises(BoomError) as raised:
            await exchange.end()
        assert raised.value.__cause__ is cause
        assert exchange.chunks == [b"one"]

    run(main())
