"""What a request costs before the view runs: `python -m loadtests.studies.request_path`.

CPU time per request in this process, without a server: first as Django and asgiref have it, then
with one change after another. The first five are what project/direct.py does; the others are what
it leaves to Django and asgiref. Without middleware, and with startproject's seven.
"""

from project import command

if __name__ == "__main__":
    command.begin()

import asyncio
import json
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from threading import get_ident
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import django
import uvloop
from asgiref.sync import AsyncToSync, sync_to_async
from django.conf import LazySettings, settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_started
from django.http import HttpRequest, JsonResponse
from django.test import override_settings
from django.urls import base, path, resolvers
from django.utils.functional import LazyObject
from rich.console import Console
from rich.progress import track
from rich.table import Table

django.setup()

from comparisons import floor  # noqa: E402
from comparisons.confidence import ALPHA  # noqa: E402
from loadtests.judging.intervals import Interval, geometric  # noqa: E402
from project import direct  # noqa: E402
from project.direct import DirectASGIHandler  # noqa: E402

ROUNDS = 12
SECONDS = 0.1  # of CPU time in a round
MIDDLEWARE = {"no middleware": [], "startproject's seven": settings.STARTPROJECTS_MIDDLEWARE}
SCOPE = {
    "type": "http",
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/view/",
    "query_string": b"",
    "root_path": "",
    "headers": [
        (b"host", b"localhost:8000"),
        (b"user-agent", b"Mozilla/5.0"),
        (b"accept", b"*/*"),
        (b"connection", b"keep-alive"),
    ],
    "client": ("127.0.0.1", 40_000),
    "server": ("127.0.0.1", 8000),
}


async def view(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ok": True})


urlpatterns = [path("view/", view)]


# --- As Django has it, where project/direct.py does not


async def listening_at_once(self: Any, request: Any, receive: Any, send: Any) -> Any:
    """Answer with a task beside it from the start, as `ASGIHandler.handle` of Django 6.1 does."""
    response = None
    try:
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(self.listen_for_disconnect(receive))
            response = await self.run_get_response(request)
            await self.send_response(response, send)
            listening.cancel()
    except* RequestAborted:
        pass
    return response


async def start_in_thread(sender: type, scope: Any) -> None:
    await request_started.asend(sender=sender, scope=scope)


async def close_in_thread(response: Any, request: Any = None) -> None:
    await sync_to_async(response.close)()


# --- As it could be


class LocalWithoutLock:
    """asgiref's Local in fewer steps; what is set replaces the values, so it needs no lock."""

    def __init__(self) -> None:
        object.__setattr__(self, "_of_thread", ContextVar("values", default=(0, {})))

    def _values(self) -> dict[str, Any]:
        thread, values = self._of_thread.get()
        return values if thread == get_ident() else {}

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values()[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self._of_thread.set((get_ident(), {**self._values(), name: value}))

    def __delattr__(self, name: str) -> None:
        values = dict(self._values())
        try:
            del values[name]
        except KeyError:
            raise AttributeError(name) from None
        self._of_thread.set((get_ident(), values))


def resolve_once(self: Any, path: str) -> Any:
    """`URLPattern.resolve` for the resolver around it, which makes the ResolverMatch."""
    if not (match := self.pattern.match(path)):
        return None
    _, args, captured = match
    return SimpleNamespace(
        func=self.callback,
        args=args,
        kwargs={**captured, **self.default_args},
        url_name=self.pattern.name,
        app_names=[],
        namespaces=[],
        route=str(self.pattern),
        tried=None,
        captured_kwargs=captured,
        extra_kwargs=self.default_args,
    )


encoder_of = cache(lambda cls: cls())


def dumps_with_kept_encoder(data: Any, cls: Any) -> str:
    return str(encoder_of(cls).encode(data))


@dataclass(frozen=True)
class Change:
    """replaced: object, attribute, what Django or asgiref has there, what there is instead."""

    words: str
    whose: str
    replaced: Sequence[tuple[Any, str, Any, Any]]


def unlocked(**values: Any) -> LocalWithoutLock:
    local = LocalWithoutLock()
    for name, value in values.items():
        setattr(local, name, value)
    return local


urls: Any = base  # whose Locals have no types
Handler, Stock = DirectASGIHandler, ASGIHandler
CHANGES = [
    Change(
        "no thread to end a thread",  # since asgiref 3.12 another waits for the request's
        "asgiref",
        [(Handler, "__call__", Stock.__call__, Handler.__call__)],
    ),
    Change(
        "tasks and files when needed",  # a disconnect's listener, a file for the body
        "Django",
        [
            (Handler, "answer", listening_at_once, Handler.answer),
            (Handler, "read_body", Stock.read_body, Handler.read_body),
        ],
    ),
    Change(
        "request_started on the loop",  # unless the request may have used a thread
        "Django",
        [(direct, "start", start_in_thread, direct.start)],
    ),
    Change(
        "response closed on the loop",  # likewise; with it, request_finished
        "Django",
        [(direct, "close", close_in_thread, direct.close)],
    ),
    Change(
        "hooks of middleware on it",  # that wait for nothing
        "Django",
        [(Handler, "adapt_method_mode", Stock.adapt_method_mode, Handler.adapt_method_mode)],
    ),
    Change(
        "Local takes no lock",
        "asgiref",
        [
            (urls, "_urlconfs", urls._urlconfs, unlocked()),
            (urls, "_prefixes", urls._prefixes, unlocked()),
            (AsyncToSync, "executors", AsyncToSync.executors, unlocked(current=None)),
        ],
    ),
    Change(
        "settings read directly",  # LazyObject has a __getattribute__ in Python
        "Django",
        [
            (
                LazySettings,
                "__getattribute__",
                LazyObject.__getattribute__,
                object.__getattribute__,
            )
        ],
    ),
    Change(
        "one ResolverMatch, not two",
        "Django",
        [(resolvers.URLPattern, "resolve", resolvers.URLPattern.resolve, resolve_once)],
    ),
    Change(
        "JSON encoder kept",
        "Django",
        [(django.http.response, "json", json, SimpleNamespace(dumps=dumps_with_kept_encoder))],
    ),
]
OURS = 5  # of them are what project/direct.py does


@contextmanager
def made(changes: int) -> Iterator[None]:
    """Make the first so many changes; where the others are to be, put Django's own."""
    with ExitStack() as stack:
        for number, change in enumerate(CHANGES):
            for target, name, before, after in change.replaced:
                stack.enter_context(
                    patch.object(target, name, after if number < changes else before)
                )
        yield


async def cpu_time(application: Any, seconds: float, path: str = "/view/") -> float:
    """Return the CPU time of a request, in microseconds, all threads together."""

    async def ask() -> None:
        messages = [{"type": "http.request", "body": b"", "more_body": False}]
        sent = []

        async def receive() -> Any:
            return messages.pop() if messages else await asyncio.Future()

        async def send(message: Any) -> None:
            sent.append(message)

        await application(SCOPE | {"path": path}, receive, send)
        assert sent[0]["status"] == 200, sent

    await ask()
    begin, taken, requests = time.process_time(), 0.0, 0
    while taken < seconds:
        for _ in range(20):
            await asyncio.create_task(ask())  # as a server does
        requests += 20
        taken = time.process_time() - begin
    return 1e6 * taken / requests


def measured(changes: int, middleware: list[str], seconds: float) -> float:
    """Return a request's CPU time with so many of the changes; without any, on Django's handler."""
    with (
        override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=middleware, ALLOWED_HOSTS=["*"]),
        made(changes),
    ):
        application = DirectASGIHandler() if changes else ASGIHandler()
        return uvloop.run(cpu_time(application, seconds))


def measured_beside(seconds: float) -> float:
    """Return the same of Starlette, which answers the same."""
    return uvloop.run(cpu_time(floor.starlette, seconds, "/request-path/async_starlette/"))


def main() -> None:
    console = Console()
    steps = range(len(CHANGES) + 1)
    taken: dict[tuple[int, str], list[float]] = {
        (step, name): [] for step in steps for name in MIDDLEWARE
    }
    for _ in track(range(ROUNDS), "measuring", console=console, transient=True):
        for step, name in random.sample(list(taken), len(taken)):
            taken[step, name].append(measured(step, MIDDLEWARE[name], SECONDS))
    table = Table("changed, one after another", "whose", *MIDDLEWARE)
    for step in steps:
        change = CHANGES[step - 1] if step else Change("nothing: Django's handler", "", ())
        table.add_row(
            change.words,
            change.whose,
            *(said(taken[step, name]) for name in MIDDLEWARE),
            end_section=step in (0, OURS),
        )
    beside = said([measured_beside(SECONDS) for _ in range(ROUNDS)])
    table.add_section()
    table.add_row("Starlette, for comparison", "", beside, "")
    console.print("CPU time per request in µs, and the 95 % interval of its mean:")
    console.print(table)


def said(times: Sequence[float]) -> str:
    interval: Interval = geometric(times, 1 - ALPHA)
    return f"{interval.mean:.0f} ({interval.low:.0f}–{interval.high:.0f})"


if __name__ == "__main__":
    command.run(main)
