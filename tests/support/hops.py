"""Requests to the ASGI application in this process, and the hops into a thread that each takes."""

import asyncio
from contextlib import contextmanager

from asgiref.sync import SyncToAsync
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.test import override_settings

from tests.support.clients import PATIENCE


@contextmanager
def settings_of(environ):
    """The settings that a server with a variant's environment would have."""
    extra = environ["EXTRA_MIDDLEWARE"].split(",") if environ else []
    with override_settings(
        MIDDLEWARE=["project.middleware.deployment_header", *extra],
        SESSION_ENGINE=environ.get("SESSION_ENGINE", settings.SESSION_ENGINES[0]),
    ):
        yield


async def ask(application, path, cookie=""):
    """Status, headers and body of the answer to a GET."""
    scope = {
        **{"type": "http", "http_version": "1.1", "scheme": "http", "method": "GET"},
        **{"path": path, "query_string": b"", "client": ("127.0.0.1", 0), "server": ("", 80)},
        "headers": [(b"host", b"localhost"), (b"cookie", cookie.encode())],
    }
    server = ApplicationCommunicator(application, scope)
    await server.send_input({"type": "http.request"})
    start = await server.receive_output(PATIENCE)
    body = (await server.receive_output(PATIENCE))["body"]
    await server.wait(PATIENCE)
    headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return start["status"], headers, body


def answers_to(path, count=1, *, handler=ASGIHandler, before_last=lambda: None):
    """The answers to a visitor who asks so often, and keeps the cookie, in a loop of its own."""
    application = handler()

    async def main():
        answers, cookie = [], ""
        for number in range(1, count + 1):
            if number == count:
                before_last()
            answers.append(await ask(application, path, cookie))
            cookie = answers[-1][1].get("set-cookie", cookie).partition(";")[0]
        return answers

    return asyncio.run(main())


def note_hops(monkeypatch):
    """Return a list that will have what is called in a thread, by its qualified name."""
    hops = []
    call = SyncToAsync.__call__

    async def noted(self, *args, **kwargs):
        hops.append(self.func.__qualname__)
        return await call(self, *args, **kwargs)

    monkeypatch.setattr(SyncToAsync, "__call__", noted)
    return hops
