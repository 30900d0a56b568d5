"""A deployment's application that notes where its variant's lines run: see `traces`, beside it.

It serves what TRACED_APP names, with the pair's module TRACED changed, and answers two paths more:
/traced/open/ says how much of what has begun is not over yet, /traced/ what has been noted since it
was last asked.
"""

import asyncio
import gc
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import httpx2
from django.conf import settings

from comparisons.tracing import record

recorder = record(os.environ["TRACED"])
_module, _, _name = os.environ["TRACED_APP"].partition(":")
traced = getattr(import_module(_module), _name)


def note_cpu_service() -> None:
    """Note what a line asks of the CPU service, which computes in a process of its own."""
    send = httpx2.AsyncClient.send

    async def noting(client: Any, request: Any, **named: Any) -> Any:
        by = recorder.handing()
        if not (by and str(request.url).startswith(settings.CPU_SERVICE_URL)):
            return await send(client, request, **named)
        ended = recorder.begun(by, f"{request.method} {request.url.path}", "process-of-service")
        try:
            return await send(client, request, **named)
        finally:
            ended(0)

    # On the class, which mypy forbids: the views' own clients are to be noted.
    httpx2.AsyncClient.send = noting  # type: ignore[method-assign, assignment]


def note_threads_of_gevent() -> None:
    from gevent.threadpool import ThreadPool

    ThreadPool.spawn = recorder.noting(ThreadPool.spawn)


gc.disable()  # a collection would be put down to the line in which it happens to come
note_cpu_service()
if "gevent" in sys.modules:
    note_threads_of_gevent()


def answer_to(path: str) -> bytes | None:
    match path:
        case "/traced/":
            gc.collect()
            return json.dumps(recorder.taken()).encode()
        case "/traced/open/":
            return json.dumps(len(recorder.open)).encode()
    return None


def wsgi(environ: Any, start_response: Any) -> Any:
    if (answer := answer_to(environ["PATH_INFO"])) is None:
        return traced(environ, start_response)
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))]
    start_response("200 OK", headers)
    return [answer]


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    loop = asyncio.get_running_loop()
    if loop is not recorder.server_loop:  # whose default executor is known by asyncio's name for it
        loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))
        recorder.server_loop = loop
    if (answer := answer_to(scope.get("path", ""))) is None:
        await traced(scope, receive, send)
        return
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
