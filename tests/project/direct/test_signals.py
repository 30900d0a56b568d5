"""The receivers of a request's signals: which are called, when, on which side, and with what."""

import asyncio
import threading
from dataclasses import dataclass

import django
import pytest
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_finished, request_started
from django.http import HttpResponse
from django.urls import path

from tests.support.asgi import Exchange, ask, run
from tests.support.coloured import (
    SIGNALS,
    BoomError,
    async_view,
    coloured,
    each_colour,
    each_signal,
)


@each_colour
def test_receivers_of_both_colours_run_once_on_their_side(site, connect, events, colour):
    for name, signal in SIGNALS.items():
        for of in ("sync", "async"):
            happen = lambda what=f"{name} {of}", **_: events.happen(what)  # noqa: E731
            connect(signal, coloured(of, happen), weak=False)

    run(ask(site(coloured(colour, lambda *_: HttpResponse(events.happen("view"))))))
    started = [("started sync", "thread"), ("started async", "loop")]
    view = ("view", {"sync": "thread", "async": "loop"}[colour])
    finished = [("finished sync", "thread"), ("finished async", "loop")]
    if django.VERSION >= (6, 1):
        assert events == [*started, view, *finished]
    else:  # whose signals run both colours at once, ours too
        assert (sorted(events[:2]), events[2:]) == (sorted(started), [view, *finished])


def test_sync_receivers_run_in_the_thread_of_the_request(site, connect):
    places = []
    place = lambda **_: places.append(threading.get_ident())  # noqa: E731
    connect(request_started, place, weak=False)
    connect(request_finished, place, weak=False)

    async def view(request):
        await sync_to_async(place)()
        return HttpResponse()

    run(ask(site(view)))
    assert len(places) == 3
    assert len(set(places)) == 1
    assert places[0] != threading.get_ident()


@each_signal
@each_colour
def test_receivers_of_other_senders_are_not_called(site, connect, events, name, colour):
    for sender in (ASGIHandler, BoomError):
        happen = lambda sender, **_: events.append(sender)  # noqa: E731
        connect(SIGNALS[name], coloured(colour, happen), sender=sender, weak=False)
    run(ask(site(async_view)))
    assert events == [ASGIHandler]


@each_signal
def test_subclass_of_the_handler_sends_its_own_signals(connect, handler, settings, events, name):
    settings.ROOT_URLCONF, settings.MIDDLEWARE = (path("", async_view),), []
    subclass = type("Subclass", (handler,), {})
    connect(SIGNALS[name], lambda sender, **_: events.append(sender), weak=False)
    run(ask(subclass()))
    assert events == [subclass]


def test_bad_request_has_a_start_and_an_end(site, connect, events):
    for name, signal in SIGNALS.items():
        connect(signal, lambda name=name, **_: events.append(name), weak=False)
    assert run(ask(site(async_view), query_string=b"\xff")).status == 400
    assert events == ["started", "finished"]


@each_signal
@each_colour
def test_receivers_are_given_what_django_gives_them(site, connect, events, name, colour):
    receiver = coloured(colour, lambda **named: events.append(named))
    connect(SIGNALS[name], receiver)
    exchange = run(ask(site(async_view)))
    scope = {"scope": exchange.scope} if name == "started" else {}
    assert events == [{"signal": SIGNALS[name], "sender": ASGIHandler} | scope]


@each_signal
@each_colour
def test_receiver_that_has_died_is_not_called(site, events, name, colour):
    receiver = coloured(colour, lambda **_: events.happen("receiver"))
    SIGNALS[name].connect(receiver)
    application = site(async_view)
    run(ask(application))
    assert len(events) == 1
    del receiver
    run(ask(application))
    assert len(events) == 1


@each_signal
@each_colour
def test_receiver_is_called_from_its_connection_to_its_disconnection(
    site, connect, events, name, colour
):
    application = site(async_view)
    receiver = coloured(colour, lambda **_: events.happen("receiver"))
    run(ask(application))
    connect(SIGNALS[name], receiver)
    run(ask(application))
    run(ask(application))
    SIGNALS[name].disconnect(receiver)
    run(ask(application))
    assert len(events) == 2


@each_colour
def test_receiver_connected_by_the_view_sees_the_end_of_its_request(site, connect, events, colour):
    receiver = coloured(colour, lambda **_: events.happen("receiver"))

    async def view(request):
        connect(request_finished, receiver)
        return HttpResponse()

    run(ask(site(view)))
    assert events == [("receiver", {"sync": "thread", "async": "loop"}[colour])]


@each_colour
def test_receiver_disconnected_by_the_view_is_not_called(site, connect, events, colour):
    receiver = connect(
        request_finished, coloured(colour, lambda **_: events.happen("receiver")), weak=False
    )

    async def view(request):
        request_finished.disconnect(receiver)
        return HttpResponse()

    run(ask(site(view)))
    assert events == []


@each_colour
def test_exception_of_a_receiver_of_request_started_ends_the_request(site, connect, events, colour):
    def fail(**_):
        raise BoomError from KeyError("cause")

    connect(request_started, coloured(colour, fail), weak=False)
    connect(request_finished, lambda **_: events.happen("finished"), weak=False)

    async def main():
        exchange = Exchange(site(lambda request: events.happen("view")))
        with pytest.raises(BoomError) as raised:
            await exchange.end()
        assert isinstance(raised.value.__cause__, KeyError)
        assert exchange.sent == []

    run(main())
    assert events == []


@each_colour
def test_exception_of_a_receiver_of_request_finished_comes_after_the_answer(
    site, connect, events, colour
):
    def fail(**_):
        raise BoomError from KeyError("cause")

    connect(request_finished, coloured(colour, fail), weak=False)

    async def main():
        exchange = Exchange(site(async_view))
        with pytest.raises(BoomError) as raised:
            await exchange.end()
        assert isinstance(raised.value.__cause__, KeyError)
        assert exchange.body == b"answer"

    run(main())


@each_signal
def test_one_of_two_async_receivers_that_fails(site, connect, events, name):
    """Django 6.1 cancels the other, 5.2 lets it run: ours as the Django beneath."""

    async def fail(**_):
        raise BoomError

    async def wait(**_):
        try:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            events.append("ended")
        except asyncio.CancelledError:
            events.append("cancelled")
            raise

    connect(SIGNALS[name], fail)
    connect(SIGNALS[name], wait)

    async def main():
        with pytest.raises(BoomError):
            await ask(site(async_view))
        for _ in range(3):
            await asyncio.sleep(0)

    run(main())
    assert events == [{True: "cancelled", False: "ended"}[django.VERSION >= (6, 1)]]


@each_signal
def test_receiver_that_cannot_be_hashed_is_called(site, connect, events, name):
    """Django's documentation asks for hashable ones; its signals do without."""

    @dataclass
    class Unhashable:
        name: str = "receiver"

        def __call__(self, **_):
            events.happen(self.name)

    connect(SIGNALS[name], Unhashable(), weak=False)
    run(ask(site(async_view)))
    assert events == [("receiver", "thread")]
