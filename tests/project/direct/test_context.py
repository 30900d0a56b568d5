"""Context variables, and what Django keeps in them: script prefix, urlconf."""

import asyncio
import contextvars

import django
import pytest
from asgiref.sync import SyncToAsync
from django.core.handlers.base import reset_urlconf
from django.core.signals import request_finished, request_started
from django.http import HttpResponse, JsonResponse
from django.urls import get_script_prefix, get_urlconf, path, reverse

from tests.support.asgi import ask, run, scope_of
from tests.support.coloured import (
    SIGNALS,
    async_view,
    coloured,
    each_colour,
    sync_view,
)

VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")


@each_colour
@pytest.mark.parametrize("of_receiver", ["sync", "async"])
def test_view_sees_what_a_receiver_sets_in_a_context_variable(site, connect, colour, of_receiver):
    """From Django 6.1 on: the asyncio.gather of 5.2's signals loses it, in ours too."""
    connect(
        request_started, coloured(of_receiver, lambda **_: VARIABLE.set("receiver")), weak=False
    )
    exchange = run(ask(site(coloured(colour, lambda *_: HttpResponse(VARIABLE.get())))))
    assert exchange.body == (b"receiver" if django.VERSION >= (6, 1) else b"unset")


@each_colour
@pytest.mark.parametrize("of_receiver", ["sync", "async"])
def test_what_the_view_sets_in_a_context_variable_lasts_until_the_requests_end(
    site, connect, events, later, colour, of_receiver
):
    """Django 5.2's own runs the view in a task of its own, with which it is lost."""
    seen = coloured(of_receiver, lambda **_: events.append(VARIABLE.get()))
    connect(request_finished, seen, weak=False)

    def view(request):
        VARIABLE.set("view")
        return HttpResponse()

    run(ask(site(coloured(colour, view))))
    assert events == ["view" if later else "unset"]


def test_thread_of_a_request_is_not_that_of_what_comes_after(site):
    """In the same task, as where another application called the handler."""

    async def ignore(message):
        pass

    async def main():
        application, incoming = site(async_view), asyncio.Queue()
        incoming.put_nowait({"type": "http.request"})
        await application(scope_of(), incoming.get, ignore)
        return SyncToAsync.thread_sensitive_context.get(None)

    assert run(main()) is None


def test_context_variable_of_a_request_is_not_seen_by_the_next(site):
    async def view(request):
        seen = VARIABLE.get()
        VARIABLE.set("view")
        return HttpResponse(seen)

    async def main():
        application = site(view)
        await ask(application)
        return await ask(application)

    assert run(main()).body == b"unset"


@each_colour
def test_script_prefix_of_a_request_is_its_own(site, settings, colour):
    def view(request, rest=""):
        return JsonResponse([request.path_info, reverse("view", args=["x"])], safe=False)

    async def main():
        application = site(coloured(colour, view))
        inner = await ask(application, "/prefix/page", root_path="/prefix")
        outer = await ask(application, "/page")
        settings.FORCE_SCRIPT_NAME = "/forced"
        forced = await ask(application, "/forced/page", root_path="/prefix")
        return [exchange.body for exchange in (inner, outer, forced)]

    assert run(main()) == [b'["/page", "/prefix/x"]', b'["/page", "/x"]', b'["/page", "/forced/x"]']


def test_script_prefix_lasts_until_the_requests_end(site, connect, events):
    prefix = lambda **_: events.append(get_script_prefix())  # noqa: E731
    for signal in SIGNALS.values():
        connect(signal, coloured("async", prefix), weak=False)
    run(ask(site(async_view), "/prefix/", root_path="/prefix"))
    assert events == ["/prefix/", "/prefix/"]


def urlconf_middleware(get_response):
    def middleware(request):
        request.urlconf = (path("", lambda request: HttpResponse(b"other urlconf")),)
        return get_response(request)

    return middleware


@each_colour
def test_urlconf_of_a_request_is_reset_at_its_end(site, connect, events, colour):
    connect(
        request_finished, coloured(colour, lambda **_: events.append(get_urlconf())), weak=False
    )
    application = site(async_view, urlconf_middleware)

    async def main():
        exchange = await ask(application)
        assert exchange.body == b"other urlconf"

    run(main())
    assert events == [None]


def test_urlconf_stays_where_a_project_has_disconnected_what_resets_it(site, later):
    """Django 5.2's own loses it with the task of the view."""

    async def main():
        application = site(async_view, urlconf_middleware)

        async def task(scope, receive, send):
            await application(scope, receive, send)
            assert (get_urlconf() is not None) == later

        await ask(task)

    request_finished.disconnect(reset_urlconf)
    try:
        run(main())
    finally:
        request_finished.connect(reset_urlconf)


@each_colour
def test_urlconf_is_reset_in_the_task_of_the_request(site, colour):
    """A server may run more in that task, and another request too."""

    async def main():
        application = site({"sync": sync_view, "async": async_view}[colour])

        async def task(scope, receive, send):
            await application(scope, receive, send)
            assert get_urlconf() is None

        await ask(task)

    run(main())
