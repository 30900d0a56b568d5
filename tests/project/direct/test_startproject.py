"""Startproject's middleware under our ASGI handler: which hooks run in a thread, and when.

A hook that may wait (for a database, a file, a cache, for what a project has put in place of
Django's) must be there; what the others do is done on the event loop.
"""

import threading
from dataclasses import dataclass, field

import pytest
from django.contrib import messages
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.sessions.backends import signed_cookies
from django.core.cache.backends.locmem import LocMemCache
from django.http import HttpResponse
from django.middleware import security
from django.urls import path

from project.direct import WAITS, DirectASGIHandler
from tests.support.asgi import Events, ask, run
from tests.support.hops import note_hops

HERE = __name__
SECURITY = "django.middleware.security.SecurityMiddleware"
SESSION = "django.contrib.sessions.middleware.SessionMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"
CSRF = "django.middleware.csrf.CsrfViewMiddleware"
AUTH = "django.contrib.auth.middleware.AuthenticationMiddleware"
MESSAGES = "django.contrib.messages.middleware.MessageMiddleware"
FRAMES = "django.middleware.clickjacking.XFrameOptionsMiddleware"

BACKENDS = "django.contrib.sessions.backends."
COOKIES = {"SESSION_ENGINE": f"{BACKENDS}signed_cookies"}
OF_COOKIE = {"MESSAGE_STORAGE": "django.contrib.messages.storage.cookie.CookieStorage"}
DJANGOS_CACHE = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
OWN_CACHE = {"default": {"BACKEND": f"{HERE}.OwnCache"}}
TWO_CACHES = DJANGOS_CACHE | {"own": OWN_CACHE["default"]}
IN_CACHE = {"SESSION_ENGINE": f"{BACKENDS}cache"}


class SessionStore(signed_cookies.SessionStore):
    """A project's own engine, of which nobody knows for what it waits: this module is one."""


class OwnCache(LocMemCache):
    """A project's own cache, likewise."""


class OwnMessages(CookieStorage):
    """A project's own storage, likewise."""


class SecurityMiddleware(security.SecurityMiddleware):
    """A project's own middleware, likewise, whatever its name."""


async def plain(request):
    return HttpResponse(b"view")


async def visited(request):
    request.session["visits"] = 1
    return HttpResponse(b"view")


async def without_session(request):
    del request.session
    return HttpResponse(b"view")


async def without_messages(request):
    del request._messages
    return HttpResponse(b"view")


async def missing(request):
    return HttpResponse(b"view", status=404)


async def told(request):
    messages.info(request, "Saved.")
    return HttpResponse(b"view")


async def listed(request):
    list(messages.get_messages(request))
    return HttpResponse(b"view")


@dataclass(frozen=True)
class Case:
    """A request, and the hooks that it takes into a thread, in their order."""

    what: str
    middleware: list[str]
    in_thread: list[str]
    view: object = plain
    method: str = "GET"
    settings: dict = field(default_factory=dict)


CASES = [
    Case("security never waits", [SECURITY], []),
    Case("frames never wait", [FRAMES], []),
    Case("session of the database, untouched", [SESSION], []),
    Case("session of cookies, untouched", [SESSION], [], settings=COOKIES),
    Case("session of Django's cache, untouched", [SESSION], [], settings=IN_CACHE),
    Case("session that was changed", [SESSION], ["Session.response"], visited, settings=COOKIES),
    Case(
        "session that is always saved",
        [SESSION],
        ["Session.response"],
        settings={**COOKIES, "SESSION_SAVE_EVERY_REQUEST": True},
    ),
    Case(
        "session in files",
        [SESSION],
        ["Session.request"],
        settings={"SESSION_ENGINE": f"{BACKENDS}file"},
    ),
    Case(
        "session of an engine of the project's own",
        [SESSION],
        ["Session.request", "Session.response"],
        settings={"SESSION_ENGINE": HERE},
    ),
    Case(
        "session in a cache of the project's own",
        [SESSION],
        ["Session.request"],
        settings={**IN_CACHE, "CACHES": OWN_CACHE},
    ),
    Case(
        "session in one of two caches",
        [SESSION],
        ["Session.request"],
        settings={**IN_CACHE, "SESSION_CACHE_ALIAS": "own", "CACHES": TWO_CACHES},
    ),
    Case("session that the view removes", [SESSION], [], without_session, settings=COOKIES),
    Case(
        "session in the database and Django's cache, untouched",
        [SESSION],
        [],
        settings={"SESSION_ENGINE": f"{BACKENDS}cached_db"},
    ),
    Case(
        "session in the database and a cache of the project's own",
        [SESSION],
        ["Session.request"],
        settings={"SESSION_ENGINE": f"{BACKENDS}cached_db", "CACHES": OWN_CACHE},
    ),
    Case("common", [COMMON], []),
    Case("common, not found", [COMMON], ["Common.response"], missing),
    Case("common, with www.", [COMMON], ["Common.request"], settings={"PREPEND_WWW": True}),
    Case("csrf of a GET", [CSRF], []),
    Case("csrf of a HEAD", [CSRF], [], method="HEAD"),
    Case("csrf of a POST", [CSRF], ["CsrfView.view"], method="POST"),
    Case("csrf of a DELETE", [CSRF], ["CsrfView.view"], method="DELETE"),
    Case(
        "csrf in the session",
        [SESSION, CSRF],
        ["CsrfView.request", "CsrfView.response"],
        settings={**COOKIES, "CSRF_USE_SESSIONS": True},
    ),
    Case("user that nobody asks for", [SESSION, AUTH], [], settings=COOKIES),
    Case("no messages", [MESSAGES], [], settings=OF_COOKIE),
    Case("messages that the view removes", [MESSAGES], [], without_messages, settings=OF_COOKIE),
    Case("message that is added", [MESSAGES], ["Message.response"], told, settings=OF_COOKIE),
    Case("messages that are read", [MESSAGES], ["Message.response"], listed, settings=OF_COOKIE),
    Case(
        "messages in a storage of the project's own",
        [MESSAGES],
        ["Message.request", "Message.response"],
        settings={"MESSAGE_STORAGE": f"{HERE}.OwnMessages"},
    ),
    Case(
        "subclass of the project's own",
        [f"{HERE}.SecurityMiddleware"],
        ["Security.request", "Security.response"],
    ),
]


@pytest.fixture
def answer_of(settings):
    """Ask our handler for this view behind these middlewares."""

    def answer_of(view, *middleware, method="GET", **changed):
        settings.ROOT_URLCONF = (path("", view),)
        settings.MIDDLEWARE = middleware
        settings.CACHES = DJANGOS_CACHE
        for name, value in changed.items():
            setattr(settings, name, value)
        return run(ask(DirectASGIHandler(), method=method))

    return answer_of


@pytest.fixture
def hooks(monkeypatch):
    """Return what tells the hooks that went to a thread: `Session.request`, and so on."""
    hops = note_hops(monkeypatch)
    return lambda: [
        name.replace("Middleware.process_", ".") for name in hops if "Middleware.process_" in name
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_hook_is_in_a_thread_where_it_may_wait_and_only_there(answer_of, hooks, case):
    answer = answer_of(case.view, *case.middleware, method=case.method, **case.settings)
    assert answer.status < 500
    assert hooks() == case.in_thread


def test_every_middleware_of_startproject_is_among_the_cases():
    assert {name for case in CASES for name in case.middleware} > set(WAITS)


def test_hook_that_answers_ends_the_request_before_the_view(answer_of, hooks):
    events = Events()

    async def view(request):
        events.happen("view")

    answer = answer_of(view, SECURITY, FRAMES, SECURE_SSL_REDIRECT=True)
    assert (answer.status, answer.headers["location"]) == (301, "https://localhost/")
    assert (events, hooks()) == ([], [])


def test_hook_of_the_view_that_answers_is_heeded(answer_of):
    assert answer_of(plain, CSRF, method="POST").status == 403


def test_hook_that_a_tool_has_wrapped_runs_in_the_thread_of_the_request(answer_of, monkeypatch):
    """For instance one that traces: what it does there may wait."""
    places = []
    hook = security.SecurityMiddleware.process_request

    def traced(self, request):
        places.append(threading.get_ident())
        return hook(self, request)

    def view(request):
        places.append(threading.get_ident())
        return HttpResponse()

    monkeypatch.setattr(security.SecurityMiddleware, "process_request", traced)
    assert answer_of(view, SECURITY).status == 200
    assert len(places) == 2
    assert len({*places, threading.get_ident()}) == 2


def test_hook_that_is_an_object_of_a_tools_runs_in_a_thread(answer_of, monkeypatch):
    """As wrapt's, which passes for the method that it wraps."""
    events = Events()

    class Wrapped:
        def __init__(self, hook):
            self._hook = hook

        def __getattr__(self, name):
            return getattr(self._hook, name)

        def __call__(self, request):
            events.happen("traced")
            return self._hook(request)

    class Descriptor:
        def __get__(self, instance, owner):
            return Wrapped(hook.__get__(instance, owner))

    hook = security.SecurityMiddleware.process_request
    monkeypatch.setattr(security.SecurityMiddleware, "process_request", Descriptor())
    assert answer_of(plain, SECURITY).status == 200
    assert events == [("traced", "thread")]


def test_middleware_whose_call_a_tool_has_wrapped_is_called_so(answer_of, monkeypatch):
    events = Events()
    call = security.SecurityMiddleware.__acall__

    async def traced(self, request):
        events.happen("traced")
        return await call(self, request)

    monkeypatch.setattr(security.SecurityMiddleware, "__acall__", traced)
    assert answer_of(plain, SECURITY).status == 200
    assert events == [("traced", "loop")]


def test_hook_that_is_new_to_us_runs_in_a_thread(answer_of, hooks, monkeypatch):
    """A later Django may have more of them."""
    monkeypatch.delitem(WAITS[SECURITY], "process_request")
    assert answer_of(plain, SECURITY).status == 200
    assert hooks() == ["Security.request"]
