"""Views and middleware of both colours: in order, each on its side, and their exceptions."""

import logging

import pytest
from django.core.signals import got_request_exception, request_finished
from django.http import HttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.urls import path

from tests.support.asgi import ask, run
from tests.support.coloured import (
    SIDES,
    BoomError,
    SyncHooks,
    async_middleware,
    async_view,
    coloured,
    each_colour,
    sync_middleware,
)


@each_colour
def test_middlewares_and_views_run_in_order_each_on_its_side(site, happened, colour):
    def view(request):
        happened.happen("view")
        return TemplateResponse(request, engines["django"].from_string("answer"))

    application = site(coloured(colour, view), async_middleware, SyncHooks, sync_middleware)
    assert run(ask(application)).body == b"answer"
    assert happened == [
        ("async in", "loop"),
        ("request", "thread"),
        ("sync in", "thread"),
        ("view hook", "thread"),
        ("view", SIDES[colour]),
        ("template", "thread"),
        ("sync out", "thread"),
        ("response", "thread"),
        ("async out", "loop"),
    ]


@each_colour
def test_exception_of_a_view_passes_the_middlewares_and_is_an_answer(
    site, happened, connect, caplog, colour
):
    def view(request):
        raise BoomError

    seen = []
    connect(got_request_exception, lambda **named: seen.append(named), weak=False)
    application = site(coloured(colour, view), async_middleware, SyncHooks, sync_middleware)
    exchange = run(ask(application))
    assert (exchange.status, len(seen)) == (500, 1)
    assert [name for name, _ in happened] == [
        *["async in", "request", "sync in", "view hook", "exception"],
        *["sync out", "response", "async out"],
    ]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("django.request", logging.ERROR)
    assert record.exc_info[0] is BoomError


@pytest.mark.parametrize(("debug", "shown"), [(True, True), (False, False)])
@each_colour
def test_page_of_an_error_shows_the_exception_in_debug_only(site, debug, shown, colour):
    def view(request):
        raise BoomError("secret of the view")

    exchange = run(ask(site(coloured(colour, view), DEBUG=debug)))
    assert exchange.status == 500
    assert (b"secret of the view" in exchange.body) == shown


def test_page_that_is_not_found_is_logged(site, caplog, settings):
    application = site(async_view)
    settings.ROOT_URLCONF = (path("other/", async_view),)
    assert run(ask(application)).status == 404
    (record,) = caplog.records
    assert (record.getMessage(), record.status_code) == ("Not Found: /", 404)


def failing_middleware_before(get_response):
    def middleware(request):
        raise BoomError

    return middleware


def failing_middleware_after(get_response):
    async def middleware(request):
        await get_response(request)
        raise BoomError

    return middleware


failing_middleware_after.async_capable = True
failing_middleware_after.sync_capable = False


def answering_sync_middleware(get_response):
    return lambda request: HttpResponse(b"middleware")


def answering_async_middleware(get_response):
    async def middleware(request):
        return HttpResponse(b"middleware")

    return middleware


answering_async_middleware.async_capable = True
answering_async_middleware.sync_capable = False


@pytest.mark.parametrize("middleware", [failing_middleware_before, failing_middleware_after])
def test_exception_of_a_middleware_is_an_answer(site, happened, middleware):
    exchange = run(ask(site(async_view, async_middleware, middleware)))
    assert exchange.status == 500
    assert [name for name, _ in happened] == ["async in", "async out"]


@pytest.mark.parametrize("middleware", [answering_sync_middleware, answering_async_middleware])
def test_middleware_that_answers_in_place_of_the_view(site, connect, happened, events, middleware):
    connect(request_finished, lambda **_: events.append("finished"), weak=False)
    application = site(lambda request: events.append("view"), async_middleware, middleware)
    assert run(ask(application)).body == b"middleware"
    assert [name for name, _ in happened] == ["async in", "async out"]
    assert events == ["finished"]


APPS = [f"django.contrib.{name}" for name in ("auth", "contenttypes", "sessions", "messages")]


@each_colour
def test_seven_middlewares_of_startproject(site, settings, colour):
    settings.INSTALLED_APPS = list(dict.fromkeys([*settings.INSTALLED_APPS, *APPS]))

    def view(request):
        request.session["visits"] = 1
        return HttpResponse(b"answer")

    application = site(
        coloured(colour, view),
        *settings.STARTPROJECTS_MIDDLEWARE,
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    )
    exchange = run(ask(application))
    assert (exchange.status, exchange.body) == (200, b"answer")
    assert exchange.headers.keys() == {
        *["content-type", "content-length", "vary", "set-cookie"],
        *["x-frame-options", "x-content-type-options", "referrer-policy"],
        "cross-origin-opener-policy",
    }
    assert run(ask(application, method="POST")).status == 403  # no token of CSRF


@each_colour
def test_exception_propagates_with_its_cause_where_the_settings_say_so(site, colour):
    cause = KeyError("cause")

    def view(request):
        raise BoomError from cause

    async def main():
        with pytest.raises(BoomError) as raised:
            await ask(site(coloured(colour, view), DEBUG_PROPAGATE_EXCEPTIONS=True))
        assert raised.value.__cause__ is cause

    run(main())
