"""Many requests waiting at once.

Claim: one event loop could serve millions of requests: one that waits costs it almost nothing.
Blocks: nothing blocks the loop. But under threads each request that waits holds a thread, and so it
    does under Django's ASGI handler, which keeps one for the receivers of `request_started`.
Instead: await, with a handler that takes no thread for that (project/direct.py). Or let all share
    one thread (SHARED_THREAD in project/asgi.py), for which `sync_to_async` in views then waits.
"""

import asyncio
import time

from django.core.exceptions import BadRequest
from django.http import HttpRequest, JsonResponse, QueryDict

from comparisons.floor import async_plain
from comparisons.registry import Comparison, Expectation, Variant

MAX_SECONDS = 90.0
THREADS = 1_000


def seconds_from(query: QueryDict) -> float:
    """Return `?seconds=`, from 0 to MAX_SECONDS, or 1 where it is not given."""
    try:
        seconds = float(query.get("seconds", 1))
    except ValueError:
        raise BadRequest("seconds is no number") from None
    if not 0 <= seconds <= MAX_SECONDS:
        raise BadRequest(f"seconds must be between 0 and {MAX_SECONDS:g}")
    return seconds


def sync(request: HttpRequest) -> JsonResponse:
    time.sleep(seconds_from(request.GET))
    return JsonResponse({"ok": True})


async def async_native(request: HttpRequest) -> JsonResponse:
    await asyncio.sleep(seconds_from(request.GET))
    return JsonResponse({"ok": True})


def as_many(users: int) -> int:
    """Return a bound that follows `--users`."""
    return users


# More connections than there are threads, or gunicorn keeps none alive.
MANY_CONNECTIONS = {"GUNICORN_CMD_ARGS": "--worker-connections 10000"}
SHARED = "async_shared_thread"
LOOPS = (async_native, SHARED, "async_direct")
EACH_ONE = "Under WSGI a request that waits has a thread of its own."
HELPERS = "An event loop has its thread and a few helpers, however many wait: twenty is generous."
NO_STACK = "A request that waits on a loop needs no stack; half of a thread's is far from none."
OBJECTS = "Django's request and its frames are no more than the server's connection and task."
IN_NO_WAY = "Nobody looks at who waits: a trivial request takes some ms, not 10 more for looking."
comparison = Comparison(
    users=(100, 1_000, 5_000),
    # Seconds until the last has come, at about a ms of CPU time each, and for the window then.
    waiting=lambda users: 0.6 + 0.0012 * users,
    variants=[
        Variant(sync, "wsgi-threads", threads=THREADS, environ=MANY_CONNECTIONS),
        Variant(async_native, "asgi-uvicorn"),
        Variant(async_native, "asgi-uvicorn", name=SHARED, environ={"SHARED_THREAD": "1"}),
        Variant(async_native, "asgi-uvicorn-direct", name="async_direct"),
        Variant(async_plain, "asgi-uvicorn", app="comparisons.floor:plain"),
    ],
    expectations=[
        Expectation(sync, "threads", at_least=as_many, users=100, why=EACH_ONE),
        Expectation(sync, "threads", at_least=as_many, users=1_000, why=EACH_ONE),
        Expectation(LOOPS, "threads", at_most=20, users=100, why=HELPERS),
        Expectation(LOOPS, "threads", at_most=20, users=1_000, why=HELPERS),
        Expectation(LOOPS[1:], "threads", at_most=20, users=5_000, why=HELPERS),
        Expectation(SHARED, "memory", of=sync, at_most=0.5, users=1_000, why=NO_STACK),
        Expectation("async_direct", "memory", of=async_plain, at_most=2, users=1_000, why=OBJECTS),
        Expectation(LOOPS[1:], "bystander", at_most=10, users=1_000, why=IN_NO_WAY),
        Expectation(LOOPS[1:], "bystander", at_most=10, users=5_000, why=IN_NO_WAY),
    ],
)
