"""Clients that leave, servers that cancel, messages that must not be."""

import asyncio
import threading

import pytest
from django.core.exceptions import RequestAborted
from django.core.signals import request_finished
from django.http import HttpResponse, StreamingHttpResponse

from tests.support.asgi import Exchange, ask, run, scope_of
from tests.support.clients import PATIENCE
from tests.support.coloured import (
    SIGNALS,
    BoomError,
    WaitingSyncView,
    WaitingView,
    async_view,
    coloured,
    each_colour,
    heard,
    sync_middleware,
    sync_view,
    view_that_waits,
)


async def stragglers():
    """Cancel the tasks that have outlived their request, and return how many there were."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return len(tasks)


@pytest.mark.parametrize("body", [[], [b"x" * 1000, b"y"]])
def test_client_that_leaves_before_its_body_is_whole_begins_nothing(
    site, connect, events, body_files, body
):
    for name, signal in SIGNALS.items():
        connect(signal, lambda name=name, **_: events.append(name), weak=False)

    async def main():
        application = site(async_view, FILE_UPLOAD_MAX_MEMORY_SIZE=1000)
        exchange = Exchange(application, body=body, whole=False)
        if not body:
            exchange.incoming.get_nowait()  # it leaves at once
        await exchange.leave()
        assert exchange.sent == []

    run(main())
    assert events == []
    assert all(file.closed for file in body_files)


@each_colour
def test_view_is_cancelled_when_its_client_leaves(site, connect, events, colour):
    finished = coloured(colour, lambda **_: events.append("finished"))
    connect(request_finished, finished)
    waiting = WaitingView(events)
    assert run(waiting.left(site(waiting.view))).sent == []
    assert events == ["cancelled", "finished"]


def test_view_behind_sync_middleware_is_cancelled_when_its_client_leaves(site, happened, events):
    waiting = WaitingView(events)
    assert run(waiting.left(site(waiting.view, sync_middleware))).sent == []
    assert events == ["cancelled"]


def test_view_that_outlives_its_cancellation_answers(site, connect, events):
    response = HttpResponse(b"answer")
    connect(request_finished, lambda **_: events.append(f"finished {response.closed}"), weak=False)
    waiting = WaitingView(events, then=response)
    assert run(waiting.left(site(waiting.view))).body == b"answer"
    assert events == ["cancelled", "finished True"]


def test_sync_view_ends_its_work_though_its_client_has_left(site, connect, events):
    def note(name):
        return lambda **_: events.append((name, threading.get_ident()))

    connect(request_finished, note("finished"), weak=False)
    waiting = WaitingSyncView(after=note("view"))
    assert run(waiting.left(site(waiting.view))).sent == []
    assert [name for name, _ in events] == ["view", "finished"]
    assert events[0][1] == events[1][1]


def test_stream_ends_when_its_client_leaves_and_the_response_is_closed(site, connect, events):
    connect(request_finished, lambda **_: events.append(f"finished {response.closed}"), weak=False)

    async def parts():
        try:
            yield b"one"
            await asyncio.sleep(PATIENCE)
        finally:
            events.append("stream's end")

    response = StreamingHttpResponse(parts())

    async def main():
        exchange = Exchange(site(coloured("async", lambda request: response)))
        await exchange.has_sent(2)
        await exchange.leave()
        assert exchange.chunks == [b"one"]

    run(main())
    assert events == ["stream's end", "finished True"]


def test_client_that_has_left_already_is_answered_by_a_view_that_does_not_wait(site):
    async def main():
        exchange = Exchange(site(async_view))
        await exchange.leave()
        return exchange.body

    # Nobody can listen where nobody waits: Django's own goes to a thread before, and waits there,
    # yet begins to listen only with the view.
    assert run(main()) == b"answer"


def test_client_that_has_left_already_cancels_a_view_that_waits(site, events):
    async def main():
        exchange = Exchange(site(WaitingView(events).view))
        await exchange.leave()
        assert exchange.sent == []

    run(main())
    assert events == ["cancelled"]


def test_task_cancelled_by_the_server_cancels_the_view(site, events, later):
    """Django 5.2's own leaves the view's task behind, which runs on."""

    async def main():
        waiting = WaitingView(events)
        exchange = await waiting.asked(site(waiting.view), body=[b"body"])
        exchange.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await exchange.end()
        assert exchange.sent == []
        assert events == (["cancelled"] if later else [])
        assert later or await stragglers()

    run(main())


def test_task_cancelled_by_the_server_ends_when_its_sync_view_has_ended(site, events, later):
    """A server that shuts down waits for the tasks, so that no work is cut off.

    Django 5.2's own does not wait for it.
    """
    waiting = WaitingSyncView(after=lambda: events.append("view"))

    async def main():
        exchange = await waiting.asked(site(waiting.view))
        exchange.task.cancel()
        await heard()
        assert not (later and exchange.task.done())
        waiting.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await exchange.end()
        assert not later or events == ["view"]
        await stragglers()

    run(main())


def test_view_may_use_a_timeout_of_its_own(site):
    async def view(request):
        try:
            async with asyncio.timeout(0.001):
                await asyncio.sleep(PATIENCE)
        except TimeoutError:
            return HttpResponse(b"too late")

    assert run(ask(site(view))).body == b"too late"


def test_tasks_of_a_view_are_cancelled_with_it(site, events):
    async def part(name):
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            events.append(name)

    async def view(request):
        async with asyncio.TaskGroup() as group:
            group.create_task(part("one"))
            group.create_task(part("two"))
            asyncio.get_running_loop().call_soon(exchange.disconnect)

    async def main():
        nonlocal exchange
        exchange = Exchange(site(view))
        await exchange.end()
        assert exchange.sent == []

    exchange = None
    run(main())
    assert sorted(events) == ["one", "two"]


def test_tasks_of_a_view_that_fail_are_an_answer(site, events):
    async def fail():
        raise BoomError

    async def view(request):
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                await asyncio.sleep(PATIENCE)
        except* BoomError:
            events.append("failed")
        return HttpResponse(b"answer")

    assert run(ask(site(view))).body == b"answer"
    assert events == ["failed"]


@pytest.mark.parametrize("waits", [False, True])
def test_stream_that_is_aborted_from_within_is_closed(site, waits, later):
    """Django takes it for a client that has left; 5.2's own closes no response that failed."""

    async def parts():
        if waits:
            await asyncio.sleep(0)
        yield b"one"
        raise RequestAborted

    response = StreamingHttpResponse(parts())

    async def view(request):
        return response

    async def main():
        exchange = Exchange(site(view))
        if later:
            await exchange.end()
        else:
            with pytest.raises(RequestAborted):
                await exchange.end()
        assert exchange.chunks == [b"one"]

    run(main())
    assert response.closed == later


def test_view_that_is_cancelled_from_within_ends_the_request(site):
    async def view(request):
        raise asyncio.CancelledError

    async def main():
        with pytest.raises(asyncio.CancelledError):
            await ask(site(view))

    run(main())


@pytest.mark.parametrize("waits", [False, True])
def test_server_that_fails_to_send(site, waits):
    async def view(request):
        if waits:
            await asyncio.sleep(0.001)
        return HttpResponse()

    async def send(message):
        raise BoomError

    async def main():
        application = site(view)
        incoming = asyncio.Queue()
        incoming.put_nowait({"type": "http.request"})
        with pytest.raises(BoomError):
            await asyncio.create_task(application(scope_of(), incoming.get, send))

    run(main())


def test_message_after_the_body_that_must_not_be(site, body_files, events, later):
    """Django 5.2's own leaves the view's task behind."""

    async def main():
        exchange = Exchange(site(WaitingView(events).view), body=[b"body"])
        exchange.say({"type": "http.request"})
        with pytest.raises(AssertionError, match="Invalid ASGI message after request body"):
            await exchange.end()
        assert later or await stragglers()

    run(main())
    assert [file.closed for file in body_files] == [True]


def test_view_that_fails_beside_such_a_message(site, later):
    """From Django 6.1 on, the server is told of both."""
    waits = asyncio.Event()

    async def view(request):
        try:
            waits.set()
            await asyncio.sleep(PATIENCE)
        finally:
            raise BoomError

    async def main():
        exchange = Exchange(site(view, DEBUG_PROPAGATE_EXCEPTIONS=True))
        await waits.wait()
        exchange.say({"type": "http.request"})
        with pytest.raises((BaseExceptionGroup, AssertionError)) as raised:
            await exchange.end()
        if later:
            kinds = {type(error) for error in raised.value.exceptions}
            assert kinds == {AssertionError, BoomError}
        await stragglers()

    run(main())


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_scope_of_another_kind_is_refused(site, kind):
    async def main():
        with pytest.raises(ValueError, match=f"HTTP connections, not {kind}"):
            await ask(site(async_view), type=kind)

    run(main())


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="new in Python 3.12")
@pytest.mark.parametrize("view", [async_view, sync_view, view_that_waits])
def test_answer_and_cancellation_where_tasks_begin_eagerly(site, events, view):
    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        assert (await ask(site(view))).status == 200
        waiting = WaitingView(events)
        assert (await waiting.left(site(waiting.view))).sent == []

    run(main())
    assert events == ["cancelled"]
