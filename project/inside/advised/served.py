"""The reader's application, with a name in each answer, and paths of ours beside its own.

`advised.served:wsgi` and `advised.served:asgi` are what a server is given in place of it. What is
said to them stands in the environment:

ADVISE_NAME    what X-Deployment says in each answer
ADVISE_APP     the reader's own: `shop.wsgi:application`
ADVISE_SERVE   JSON: what differs from its settings (see `configure`)
ADVISE_PROBES  1: look into the requests between `probes/?begin` (or `?count`: without looking at
               stacks) and `probes/?end`; `probes/` says how many have not ended
"""

from __future__ import annotations

import functools
import gc
import importlib
import json
import os
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

PREFIX = "/__advise__/"
HEADER = "X-Deployment"
NAME = os.environ.get("ADVISE_NAME", "")
SERVE: dict[str, Any] = json.loads(os.environ.get("ADVISE_SERVE", "{}"))
PROBES = os.environ.get("ADVISE_PROBES") == "1"


def __getattr__(name: str) -> Any:
    """Make `wsgi` or `asgi` when a server asks for it."""
    makers: dict[str, Callable[[Any], Any]] = {"wsgi": wrapped_wsgi, "asgi": wrapped_asgi}
    if name not in makers:
        raise AttributeError(name)
    configure(SERVE)
    if PROBES:
        from . import probes

        probes.install()
    module, _, attribute = os.environ["ADVISE_APP"].partition(":")
    application = makers[name](getattr(importlib.import_module(module), attribute))
    globals()[name] = application
    return application


def configure(serve: dict[str, Any]) -> None:
    """Change the settings of this process, before its application is made.

    debug, hosts: that DEBUG is, and what ALLOWED_HOSTS has besides. conn_max_age, pool: of the
    default database, where they are given. Nobody gets mail of what goes wrong here; it stands in
    the server's log, in which Django has no traceback where DEBUG is off.
    """
    from django.conf import settings
    from django.core.signals import got_request_exception

    settings.DEBUG = serve.get("debug", settings.DEBUG)
    settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, *serve.get("hosts", [])]
    default = settings.DATABASES.get("default", {})
    if "conn_max_age" in serve:
        default["CONN_MAX_AGE"] = serve["conn_max_age"]
    if "pool" in serve:
        default["OPTIONS"] = {**(default.get("OPTIONS") or {}), "pool": serve["pool"]}
    settings.ADMINS = settings.MANAGERS = []
    got_request_exception.connect(print_exception)


def print_exception(**of_signal: Any) -> None:
    traceback.print_exc()


# --- WSGI


def wrapped_wsgi(app: Any) -> Any:
    if PROBES:
        from . import probes

        app = functools.partial(probes.seen_wsgi, app)

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        def named(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, [*headers, (HEADER, NAME)], exc_info)

        path = environ.get("PATH_INFO", "")
        if path.startswith(PREFIX):
            body = own_answer(path, environ.get("QUERY_STRING", ""))
            headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
            named("200 OK" if body else "404 Not Found", headers)
            return [body]
        if SERVE.get("https"):
            environ["wsgi.url_scheme"] = "https"
        answer: Iterable[bytes] = app(environ, named)
        return answer

    return application


# --- ASGI


def wrapped_asgi(app: Any) -> Any:
    seen = app
    if PROBES:
        from . import probes

        seen = functools.partial(probes.seen_asgi, app)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(app, scope, receive, send)
            return
        if scope["type"] != "http":
            await app(scope, receive, send)
            return

        async def named(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", []), (HEADER.lower().encode(), NAME.encode())]
                message = {**message, "headers": headers}
            await send(message)

        path = scope["path"]
        if path.startswith(PREFIX):
            body = own_answer(path, scope.get("query_string", b"").decode())
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
            ]
            status = 200 if body else 404
            await named({"type": "http.response.start", "status": status, "headers": headers})
            await named({"type": "http.response.body", "body": body})
            return
        if SERVE.get("https"):
            scope = {**scope, "scheme": "https"}
        await seen(scope, receive, named)

    return application


async def lifespan(app: Any, scope: Any, receive: Any, send: Any) -> None:
    """Pass it on; answer in the place of an application that has none, as Django's."""
    received: list[str] = []
    answered: list[str] = []

    async def receiving() -> Any:
        message = await receive()
        received.append(message["type"])
        return message

    async def sending(message: Any) -> None:
        answered.append(message["type"])
        await send(message)

    try:
        await app(scope, receiving, sending)
    except Exception:  # so Django's says that it has no lifespan; what has begun one has failed
        if answered:
            raise
    if "lifespan.startup.failed" in answered:
        return
    for event in ("lifespan.startup", "lifespan.shutdown"):
        if any(one.startswith(event) for one in answered):
            continue
        while event not in received:
            await receiving()
        await send({"type": f"{event}.complete"})


# --- What it answers itself


def own_answer(path: str, query: str) -> bytes:
    """Return JSON, or nothing for a path that there is not."""
    answer: Any = None
    if path == f"{PREFIX}bystander/":
        answer = {"ok": True}
    elif path == f"{PREFIX}pools/":
        if "collect" in query:
            gc.collect()
        answer = pool_counters()
    elif path == f"{PREFIX}probes/" and PROBES:
        from . import probes

        words = {"begin": probes.begin, "count": probes.count, "end": probes.end}
        answer = words.get(query, probes.running)()
    return b"" if answer is None else json.dumps(answer).encode()


def pool_counters() -> dict[str, int]:
    """Return what Django's pools to PostgreSQL count: see psycopg_pool's `get_stats`."""
    stats = []
    with suppress(ImportError, LookupError):
        from django.db.backends.postgresql import base

        pools: dict[str, Any] = vars(base.DatabaseWrapper)["_connection_pools"]
        stats = [pool.get_stats() for pool in pools.values()]
    names = ("requests_num", "requests_wait_ms")
    return {name: sum(one.get(name, 0) for one in stats) for name in names}
