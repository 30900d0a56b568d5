"""Views, receivers and middlewares of both colours, sync and async, for tests of ASGI handlers."""

import asyncio
import threading

import pytest
from django.core.signals import request_finished, request_started
from django.http import HttpResponse
from django.utils.deprecation import MiddlewareMixin

from tests.support.asgi import Events, Exchange
from tests.support.clients import PATIENCE

SIGNALS = {"started": request_started, "finished": request_finished}
each_signal = pytest.mark.parametrize("name", SIGNALS)
each_colour = pytest.mark.parametrize("colour", ["sync", "async"])
SIDES = {"sync": "thread", "async": "loop"}  # where what has this colour runs
HAPPENED = Events()  # what the middlewares below did; the fixture `happened`


class BoomError(Exception):
    pass


def coloured(colour, function):
    """Return a receiver or view of this colour that calls the function."""

    def sync(*args, **named):
        return function(*args, **named)

    async def asynchronous(*args, **named):
        return function(*args, **named)

    return {"sync": sync, "async": asynchronous}[colour]


async def async_view(request, rest=""):
    return HttpResponse(b"answer")


def sync_view(request, rest=""):
    return HttpResponse(b"answer")


async def view_that_waits(request, rest=""):
    await asyncio.sleep(0.001)
    return HttpResponse()


class WaitingView:
    """An async view that waits until it is cancelled, and then may answer nonetheless."""

    def __init__(self, events, then=None):
        self.events, self.then, self.begun = events, then, asyncio.Event()

    async def view(self, request):
        self.begun.set()
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            self.events.append("cancelled")
            if self.then is None:
                raise
        return self.then

    async def asked(self, application, **how):
        """Ask for the view and return when it waits."""
        exchange = Exchange(application, **how)
        await self.begun.wait()
        return exchange

    async def left(self, application):
        """Ask for the view, leave as it waits, and return when the application has ended."""
        return await (await self.asked(application)).leave()


class WaitingSyncView:
    """A sync view that waits until it is told to go on: with work before, and work after it."""

    def __init__(self, *, before=lambda: None, after=lambda: None):
        self.before, self.after = before, after
        self.begun, self.go_on = threading.Event(), threading.Event()

    def view(self, request):
        self.before()
        self.begun.set()
        self.go_on.wait(PATIENCE)
        self.after()

    async def asked(self, application):
        """Ask for the view and return when it waits."""
        exchange = Exchange(application)
        await asyncio.to_thread(self.begun.wait, PATIENCE)
        return exchange

    async def left(self, application):
        """Ask for the view, leave as it waits, let it go on, and return when all has ended."""
        exchange = await self.asked(application)
        exchange.disconnect()
        await heard()
        assert not exchange.task.done()
        self.go_on.set()
        return await exchange.end()


async def heard():
    """Give the handler the turns of the loop in which it hears of what was said."""
    for _ in range(10):
        await asyncio.sleep(0)


def sync_middleware(get_response):
    def middleware(request):
        HAPPENED.happen("sync in")
        response = get_response(request)
        HAPPENED.happen("sync out")
        return response

    return middleware


def async_middleware(get_response):
    async def middleware(request):
        HAPPENED.happen("async in")
        response = await get_response(request)
        HAPPENED.happen("async out")
        return response

    return middleware


async_middleware.async_capable, async_middleware.sync_capable = True, False


class SyncHooks(MiddlewareMixin):
    def process_request(self, request):
        HAPPENED.happen("request")

    def process_view(self, request, *_):
        HAPPENED.happen("view hook")

    def process_exception(self, request, exception):
        HAPPENED.happen("exception")

    def process_template_response(self, request, response):
        HAPPENED.happen("template")
        return response

    def process_response(self, request, response):
        HAPPENED.happen("response")
        return response
