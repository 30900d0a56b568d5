"""Our ASGI handler behaves as Django's: what these tests assert holds of both, in process.

What is of ours alone (no thread that nothing needs) is asserted of ours. Where Django 5.2 and 6.1
differ, ours does as 6.1: `later` is true of ours, and of Django's own from 6.1 on.
"""

import tempfile
import threading

import django
import pytest
from django.core.handlers.asgi import ASGIHandler
from django.db import connections
from django.urls import path

from project.direct import DirectASGIHandler
from tests.support.asgi import Events
from tests.support.coloured import HAPPENED


@pytest.fixture(params=[ASGIHandler, DirectASGIHandler], ids=lambda handler: handler.__name__)
def handler(request):
    return request.param


@pytest.fixture
def later(handler):
    """Whether this handler does as Django 6.1 does."""
    return handler is DirectASGIHandler or django.VERSION >= (6, 1)


@pytest.fixture
def site(handler, settings):
    """Make an application of this view at every path, with these middlewares, given or named."""

    def make(view, *middleware, **changed):
        settings.ROOT_URLCONF = (path("", view), path("<path:rest>", view, name="view"))
        settings.TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
        settings.MIDDLEWARE = [
            one if isinstance(one, str) else f"{one.__module__}.{one.__qualname__}"
            for one in middleware
        ]
        for name, value in changed.items():
            setattr(settings, name, value)
        return handler()

    return make


@pytest.fixture
def events():
    return Events()


@pytest.fixture
def happened():
    """What the middlewares of tests.support.coloured did."""
    HAPPENED.clear()
    return HAPPENED


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
def body_files(request, monkeypatch):
    """The files that take bodies, as they are made; at the test's end all are closed."""
    must_close = "handler" not in request.fixturenames or request.getfixturevalue("later")
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
    assert not (must_close and still_open)


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
