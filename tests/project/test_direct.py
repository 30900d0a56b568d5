"""Our ASGI handler behaves as Django's: what is asserted here holds of both, in process.

What is of ours alone (no thread that nothing needs) is asserted of ours. Where Django 5.2 and 6.1
differ, ours does as 6.1: `later` is true of ours, and of Django's own from 6.1 on.
"""

import asyncio
import contextvars
import logging
import os
import runpy
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import django
import pytest
from asgiref.sync import SyncToAsync, ThreadSensitiveContext, async_to_sync, sync_to_async
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import got_request_exception, request_finished, request_started
from django.db import connections
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template import engines
from django.template.response import TemplateResponse
from django.urls import get_script_prefix, get_urlconf, path, reverse
from django.utils.deprecation import MiddlewareMixin

from project import direct
from project.direct import DirectASGIHandler
from tests.support.asgi import Events, Exchange, ask, form, run, scope_of, side
from tests.support.clients import PATIENCE

HERE = __name__
VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")
SIGNALS = {"started": request_started, "finished": request_finished}
ours_only = pytest.mark.parametrize("handler", [DirectASGIHandler], indirect=True)
each_signal = pytest.mark.parametrize("name", SIGNALS)
each_colour = pytest.mark.parametrize("colour", ["sync", "async"])


class BoomError(Exception):
    pass


@pytest.fixture(params=[ASGIHandler, DirectASGIHandler], ids=lambda handler: handler.__name__)
def handler(request):
    return request.param


@pytest.fixture
def later(handler):
    """Whether this handler does as Django 6.1 does."""
    return handler is DirectASGIHandler or django.VERSION >= (6, 1)


@pytest.fixture
def site(handler, settings):
    """Make an application of this view at every path, with these of the file's middlewares."""

    def make(view, *middleware, **changed):
        settings.ROOT_URLCONF = (path("", view), path("<path:rest>", view, name="view"))
        settings.TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
        settings.MIDDLEWARE = [name if "." in name else f"{HERE}.{name}" for name in middleware]
        for name, value in changed.items():
            setattr(settings, name, value)
        return handler()

    return make


@pytest.fixture
def events():
    return Events()


@pytest.fixture
def connect():
    """Connect a receiver to a signal until the test ends."""
    connected = []

    def connect(signal, receiver, **how):
        signal.connect(receiver, **how)
        connected.append((signal, receiver, how.get("sender")))
        return receiver

    yield connect
    for signal, receiver, sender in connected:
        signal.disconnect(receiver, sender=sender)


@pytest.fixture(autouse=True)
def body_files(monkeypatch, later):
    """The files that take bodies, as they are made; at the test's end all are closed."""
    made = []

    class Recorded(tempfile.SpooledTemporaryFile):
        def __init__(self, *args, **named):
            super().__init__(*args, **named)
            made.append(self)

    monkeypatch.setattr("tempfile.SpooledTemporaryFile", Recorded)
    yield made
    still_open = [file for file in made if not file.closed]
    for file in still_open:  # Django 5.2 leaves it so where a request ends in an exception
        file.close()
    assert not (later and still_open)


@pytest.fixture
def threads(monkeypatch):
    """The names of all threads that the test starts."""
    started = []
    start = threading.Thread.start

    def recorded(thread):
        started.append(thread.name)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", recorded)
    return started


async def async_view(request, rest=""):
    return HttpResponse(b"answer")


def sync_view(request, rest=""):
    return HttpResponse(b"answer")


VIEWS = {"sync": sync_view, "async": async_view}


def coloured(colour, function):
    """Return a receiver or view of this colour that calls the function."""

    def sync(*args, **named):
        return function(*args, **named)

    async def asynchronous(*args, **named):
        return function(*args, **named)

    return {"sync": sync, "async": asynchronous}[colour]


# --- Receivers of the request's signals


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


@each_colour
@pytest.mark.parametrize("of_receiver", ["sync", "async"])
def test_view_sees_what_a_receiver_sets_in_a_context_variable(site, connect, colour, of_receiver):
    """From Django 6.1 on: the asyncio.gather of 5.2's signals loses it, in ours too."""
    connect(
        request_started, coloured(of_receiver, lambda **_: VARIABLE.set("receiver")), weak=False
    )
    exchange = run(ask(site(coloured(colour, lambda *_: HttpResponse(VARIABLE.get())))))
    assert exchange.body == (b"receiver" if django.VERSION >= (6, 1) else b"unset")


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


# --- Threads


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


async def view_that_waits(request, rest=""):
    await asyncio.sleep(0.001)
    return HttpResponse()


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
    run(ask(site(sync_view, "SyncHooks", "sync_middleware")))
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


# --- What the request's thread holds: connections, and caches


@pytest.fixture
def used_connection(monkeypatch, database):
    """Let a view use a connection of its thread; the dictionary has it afterwards."""
    used = {}

    def use(break_it=False):
        connection = connections["default"]
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        close = connection.close
        used["connection"], used["thread"], used["closed"] = connection, threading.get_ident(), []

        def recorded():
            used["closed"].append(threading.get_ident())
            close()

        monkeypatch.setattr(connection, "close", recorded)
        if break_it:
            connection.connection.close()
            connection.errors_occurred = True

    used["use"] = use
    yield used
    if used["connection"].connection:  # kept, by a thread that is no more
        used["connection"].connection.close()


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
    used, go_on = threading.Event(), threading.Event()

    def view(request):
        used_connection["use"]()
        used.set()
        go_on.wait(PATIENCE)

    async def main():
        exchange = Exchange(site(view))
        await asyncio.to_thread(used.wait, PATIENCE)
        exchange.disconnect()
        await asyncio.sleep(0.01)
        go_on.set()
        await exchange.end()
        assert exchange.sent == []

    run(main())
    assert used_connection["closed"] == [used_connection["thread"]]


class ClosingCache(LocMemCache):
    """A cache that has something to close."""

    closed = []

    def close(self, **_):
        self.closed.append(side())


CLOSING_CACHE = {"BACKEND": f"{HERE}.ClosingCache"}


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


# --- Views and middleware


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


HAPPENED = Events()


@pytest.fixture
def happened():
    """What the file's middlewares did."""
    HAPPENED.clear()
    return HAPPENED


SIDES = {"sync": "thread", "async": "loop"}


@each_colour
def test_middlewares_and_views_run_in_order_each_on_its_side(site, happened, colour):
    def view(request):
        happened.happen("view")
        return TemplateResponse(request, engines["django"].from_string("answer"))

    application = site(coloured(colour, view), "async_middleware", "SyncHooks", "sync_middleware")
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
    application = site(coloured(colour, view), "async_middleware", "SyncHooks", "sync_middleware")
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


async def _fail_after(get_response, request):
    await get_response(request)
    raise BoomError


def failing_middleware_after(get_response):
    async def middleware(request):
        await _fail_after(get_response, request)

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


@pytest.mark.parametrize("name", ["failing_middleware_before", "failing_middleware_after"])
def test_exception_of_a_middleware_is_an_answer(site, happened, name):
    exchange = run(ask(site(async_view, "async_middleware", name)))
    assert exchange.status == 500
    assert [name for name, _ in happened] == ["async in", "async out"]


@pytest.mark.parametrize("name", ["answering_sync_middleware", "answering_async_middleware"])
def test_middleware_that_answers_in_place_of_the_view(site, connect, happened, events, name):
    connect(request_finished, lambda **_: events.append("finished"), weak=False)
    application = site(lambda request: events.append("view"), "async_middleware", name)
    assert run(ask(application)).body == b"middleware"
    assert [name for name, _ in happened] == ["async in", "async out"]
    assert events == ["finished"]


STARTPROJECT = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
APPS = [f"django.contrib.{name}" for name in ("auth", "contenttypes", "sessions", "messages")]


@each_colour
def test_seven_middlewares_of_startproject(site, settings, colour):
    settings.INSTALLED_APPS = list(dict.fromkeys([*settings.INSTALLED_APPS, *APPS]))

    def view(request):
        request.session["visits"] = 1
        return HttpResponse(b"answer")

    application = site(
        coloured(colour, view),
        *STARTPROJECT,
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


# --- The response's end


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


# --- Bodies


LIMIT = 1000
BODIES = {
    "empty": [],
    "small": [b"small"],
    "in several messages": [b"one", b"", b"two"],
    "after an empty message": [b"", b"two"],
    "on disk": [b"x" * LIMIT, b"y"],
}


@each_colour
@pytest.mark.parametrize("name", BODIES)
def test_view_reads_the_body_whole(site, body_files, colour, name):
    streams = []

    def view(request):
        streams.append(request._stream)
        return HttpResponse(request.body)

    application = site(coloured(colour, view), FILE_UPLOAD_MAX_MEMORY_SIZE=LIMIT)
    exchange = run(ask(application, method="POST", body=BODIES[name]))
    assert exchange.body == b"".join(BODIES[name])
    assert all(stream.closed for stream in streams + body_files)


@each_colour
@pytest.mark.parametrize("name", BODIES)
def test_body_that_nobody_reads_is_closed(site, body_files, colour, name):
    streams = []

    def view(request):
        streams.append(request._stream)
        return HttpResponse()

    application = site(coloured(colour, view), FILE_UPLOAD_MAX_MEMORY_SIZE=LIMIT)
    run(ask(application, method="POST", body=BODIES[name]))
    assert all(stream.closed for stream in streams + body_files)
    assert [file._rolled for file in body_files if body_files] in ([], [False], [name == "on disk"])


@each_colour
def test_body_on_disk_is_closed_in_a_thread(site, body_files, monkeypatch, events, colour):
    close = tempfile.SpooledTemporaryFile.close

    def noted(file):
        events.happen("close")
        close(file)

    application = site(
        coloured(colour, lambda request: HttpResponse()), FILE_UPLOAD_MAX_MEMORY_SIZE=LIMIT
    )
    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "close", noted)
    run(ask(application, method="POST", body=BODIES["on disk"]))
    assert events[0] == ("close", "thread")


def test_body_of_a_bad_request_is_closed(site, body_files):
    application = site(async_view, FILE_UPLOAD_MAX_MEMORY_SIZE=LIMIT)
    exchange = run(ask(application, query_string=b"\xff", body=BODIES["on disk"]))
    assert exchange.status == 400
    assert [file.closed for file in body_files] == [True]


@pytest.mark.parametrize("name", BODIES)
def test_view_reads_the_body_piece_by_piece(site, name):
    async def view(request):
        return JsonResponse({"read": [len(request.read(2)), len(request.read(2000))]})

    application = site(view, FILE_UPLOAD_MAX_MEMORY_SIZE=LIMIT)
    size = len(b"".join(BODIES[name]))
    exchange = run(ask(application, method="POST", body=BODIES[name]))
    assert exchange.body == b'{"read": [%d, %d]}' % (min(size, 2), max(size - 2, 0))


@each_colour
@pytest.mark.parametrize(
    ("limit", "name"),
    [
        (LIMIT, "InMemoryUploadedFile"),
        (10, "TemporaryUploadedFile"),
        (0, "TemporaryUploadedFile"),  # which is: never in memory
    ],
)
def test_uploads_are_closed_and_removed_in_a_thread(
    site, happened, monkeypatch, colour, limit, name
):
    uploads = []

    def view(request):
        upload = request.FILES["file"]
        uploads.append(upload)
        close = upload.close
        monkeypatch.setattr(upload, "close", lambda: [happened.happen("close"), close()])
        return HttpResponse(f"{type(upload).__name__} {upload.read().decode()}")

    application = site(coloured(colour, view), FILE_UPLOAD_MAX_MEMORY_SIZE=limit)
    exchange = run(ask(application, **form(name="value", file=("file.txt", b"content of it"))))
    assert exchange.body.decode() == f"{name} content of it"
    assert happened == [("close", "thread")]
    assert uploads[0].closed
    if name == "TemporaryUploadedFile":
        assert not os.path.exists(uploads[0].temporary_file_path())


# --- Clients that leave, servers that cancel, messages that must not be


@pytest.mark.parametrize("body", [[], [b"x" * LIMIT, b"y"]])
def test_client_that_leaves_before_its_body_is_whole_begins_nothing(
    site, connect, events, body_files, body
):
    for name, signal in SIGNALS.items():
        connect(signal, lambda name=name, **_: events.append(name), weak=False)

    async def main():
        application = site(async_view, FILE_UPLOAD_MAX_MEMORY_SIZE=LIMIT)
        exchange = Exchange(application, body=body, whole=False)
        if not body:
            exchange.incoming.get_nowait()  # it leaves at once
        exchange.disconnect()
        await exchange.end()
        assert exchange.sent == []

    run(main())
    assert events == []
    assert all(file.closed for file in body_files)


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


async def stragglers():
    """Cancel the tasks that have outlived their request, and return how many there were."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return len(tasks)


@each_colour
def test_view_is_cancelled_when_its_client_leaves(site, connect, events, colour):
    finished = coloured(colour, lambda **_: events.append("finished"))
    connect(request_finished, finished)

    async def main():
        waiting = WaitingView(events)
        exchange = await waiting.asked(site(waiting.view))
        exchange.disconnect()
        await exchange.end()
        assert exchange.sent == []

    run(main())
    assert events == ["cancelled", "finished"]


def test_view_behind_sync_middleware_is_cancelled_when_its_client_leaves(site, happened, events):
    async def main():
        waiting = WaitingView(events)
        exchange = await waiting.asked(site(waiting.view, "sync_middleware"))
        exchange.disconnect()
        await exchange.end()
        assert exchange.sent == []

    run(main())
    assert events == ["cancelled"]


def test_view_that_outlives_its_cancellation_answers(site, connect, events):
    response = HttpResponse(b"answer")
    connect(request_finished, lambda **_: events.append(f"finished {response.closed}"), weak=False)

    async def main():
        waiting = WaitingView(events, then=response)
        exchange = await waiting.asked(site(waiting.view))
        exchange.disconnect()
        await exchange.end()
        assert exchange.body == b"answer"

    run(main())
    assert events == ["cancelled", "finished True"]


def test_sync_view_ends_its_work_though_its_client_has_left(site, connect, events):
    begun, go_on = threading.Event(), threading.Event()
    connect(
        request_finished,
        lambda **_: events.append(("finished", threading.get_ident())),
        weak=False,
    )

    def view(request):
        begun.set()
        go_on.wait(PATIENCE)
        events.append(("view", threading.get_ident()))

    async def main():
        exchange = Exchange(site(view))
        await asyncio.to_thread(begun.wait, PATIENCE)
        exchange.disconnect()
        for _ in range(10):  # turns of the loop: the handler hears of it
            await asyncio.sleep(0)
        assert not exchange.task.done()
        go_on.set()
        await exchange.end()
        assert exchange.sent == []

    run(main())
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
        exchange.disconnect()
        await exchange.end()
        assert exchange.chunks == [b"one"]

    run(main())
    assert events == ["stream's end", "finished True"]


def test_client_that_has_left_already_is_answered_by_a_view_that_does_not_wait(site):
    async def main():
        exchange = Exchange(site(async_view))
        exchange.disconnect()
        await exchange.end()
        return exchange.body

    # Nobody can listen where nobody waits: Django's own goes to a thread before, and waits there,
    # yet begins to listen only with the view.
    assert run(main()) == b"answer"


def test_client_that_has_left_already_cancels_a_view_that_waits(site, events):
    async def main():
        exchange = Exchange(site(WaitingView(events).view))
        exchange.disconnect()
        await exchange.end()
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


def test_task_cancelled_by_the_server_ends_when_its_sync_view_has_ended(site, later):
    """A server that shuts down waits for the tasks, so that no work is cut off.

    Django 5.2's own does not wait for it.
    """
    begun, go_on = threading.Event(), threading.Event()
    ended = []

    def view(request):
        begun.set()
        go_on.wait(PATIENCE)
        ended.append(True)

    async def main():
        exchange = Exchange(site(view))
        await asyncio.to_thread(begun.wait, PATIENCE)
        exchange.task.cancel()
        asyncio.get_running_loop().call_later(0.05, go_on.set)
        with pytest.raises(asyncio.CancelledError):
            await exchange.end()
        assert later is False or ended == [True]
        await stragglers()

    try:
        run(main())
    finally:
        go_on.set()


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


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_scope_of_another_kind_is_refused(site, kind):
    async def main():
        with pytest.raises(ValueError, match=f"HTTP connections, not {kind}"):
            await ask(site(async_view), type=kind)

    run(main())


# --- Context variables, and what Django keeps in them


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
    application = site(async_view, "urlconf_middleware")

    async def main():
        exchange = await ask(application)
        assert exchange.body == b"other urlconf"

    run(main())
    assert events == [None]


@each_colour
def test_urlconf_is_reset_in_the_task_of_the_request(site, colour):
    """A server may run more in that task, and another request too."""

    async def main():
        application = site(VIEWS[colour])

        async def task(scope, receive, send):
            await application(scope, receive, send)
            assert get_urlconf() is None

        await ask(task)

    run(main())


# --- Under sync code, in other contexts, in other loops


def test_under_sync_code_all_sync_code_runs_in_its_thread(site, connect, monkeypatch, events):
    """As in tests, and in a WSGI server with ASGI inside: its connections are looked after."""
    places = []
    place = lambda **_: places.append(threading.get_ident())  # noqa: E731
    looked_after = lambda: events.append(threading.get_ident())  # noqa: E731
    monkeypatch.setattr(connections["default"], "close_if_unusable_or_obsolete", looked_after)

    async def view(request):
        await sync_to_async(place)()
        return HttpResponse()

    connect(request_finished, place, weak=False)
    async_to_sync(ask)(site(view))
    assert places == [threading.get_ident()] * 2
    assert events == [threading.get_ident()] * 2


def test_under_sync_code_its_connections_are_looked_after_though_nothing_else_is_sync(
    site, monkeypatch, events
):
    looked_after = lambda: events.append(threading.get_ident())  # noqa: E731
    monkeypatch.setattr(connections["default"], "close_if_unusable_or_obsolete", looked_after)
    async_to_sync(ask)(site(async_view))
    assert events == [threading.get_ident()] * 2


@pytest.mark.parametrize("with_executor", [True, False])
def test_inside_an_outer_context_the_thread_is_its_and_looked_after(
    site, used_connection, monkeypatch, with_executor
):
    """A connection that one request left there is examined at the next, though it used none."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", None)
    places, examined = [], []

    def use(request):
        places.append(threading.current_thread())
        used_connection["use"]()
        examine = lambda: examined.append(threading.current_thread())  # noqa: E731
        monkeypatch.setattr(connections["default"], "close_if_unusable_or_obsolete", examine)
        return HttpResponse()

    async def main(executor):
        first, second = site(use), site(async_view)
        how = {"executor": executor} if with_executor else {}
        async with ThreadSensitiveContext(**how):
            first = site(use)
            await ask(first)
            assert examined == places
            second = site(async_view)
            await ask(second)
            assert examined == places * 3
            assert places[0].is_alive()
            places.append(await sync_to_async(threading.current_thread)())

    with ThreadPoolExecutor(1) as executor:
        run(main(executor))
        assert places[0] is places[1]
        assert not with_executor or executor.submit(threading.current_thread).result() is places[0]


@ours_only
def test_import_under_sync_code_leaves_it_its_thread():
    """A project may import its handler late; thread-sensitive code then still has that thread."""

    async def main():
        async with ThreadSensitiveContext():
            runpy.run_path(direct.__file__)
            return await sync_to_async(threading.get_ident)()

    assert async_to_sync(main)() == threading.get_ident()


def test_task_that_outlives_its_request_has_a_thread(site):
    """Until it ends, its context keeps the thread that it has asked for."""
    tasks = []

    async def view(request):
        async def work():
            await asyncio.sleep(0.01)
            return await sync_to_async(side)()

        tasks.append(asyncio.create_task(work()))
        return HttpResponse()

    async def main():
        await ask(site(view))
        return await tasks[0]

    assert run(main()) == "thread"


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="new in Python 3.12")
@pytest.mark.parametrize("view", [async_view, sync_view, view_that_waits])
def test_answer_and_cancellation_where_tasks_begin_eagerly(site, events, view):
    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        assert (await ask(site(view))).status == 200
        waiting = WaitingView(events)
        exchange = await waiting.asked(site(waiting.view))
        exchange.disconnect()
        await exchange.end()
        assert exchange.sent == []

    run(main())
    assert events == ["cancelled"]
