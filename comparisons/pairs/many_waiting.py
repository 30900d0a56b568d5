"""Many requests waiting at once.

Claim: one event loop could serve millions of requests: one that waits costs it almost nothing.
Blocks: nothing blocks the loop. Under threads each request that waits holds a thread; and so it
    does under Django's ASGI handler, which runs the receivers of `request_started` in a thread of
    the request's own, starts that thread from the loop, and keeps it until the request is answered.
Instead: await, and let all requests share one thread for what Django does in threads: asgiref's
    `ThreadSensitiveContext(executor=...)` around the application (project/asgi.py, SHARED_THREAD).
    The price: what views do with `sync_to_async` then waits for its turn in that one thread.

`manage.py compare many-waiting --users 10` (or 100, or 5000) shows how it grows.
"""

import asyncio
import time

from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant

WAIT = 1.0
THREADS = 1000


def sync(request: HttpRequest) -> JsonResponse:
    time.sleep(WAIT)
    return JsonResponse({"waited": WAIT})


async def async_native(request: HttpRequest) -> JsonResponse:
    await asyncio.sleep(WAIT)
    return JsonResponse({"waited": WAIT})


comparison = Comparison(
    users=1000,
    variants=[
        Variant(
            sync,
            "wsgi-threads",
            wait=WAIT,
            threads=THREADS,
            # More than there are threads, or gunicorn keeps no connection alive.
            environ={"GUNICORN_CMD_ARGS": "--worker-connections 10000"},
        ),
        Variant(async_native, "asgi-uvicorn", wait=WAIT),
        Variant(
            async_native,
            "asgi-uvicorn",
            name="async_shared_thread",
            wait=WAIT,
            environ={"SHARED_THREAD": "1"},
        ),
    ],
    expectations=[
        # A thread for each request that waits.
        Expectation(sync, "threads", at_least=lambda users: min(users, THREADS)),
        # An event loop has its thread and a few helpers, however many wait: a tenth of a thread for
        # each is generous.
        Expectation(async_native, "threads", at_most=lambda users: 20 + users / 10),
        Expectation("async_shared_thread", "threads", at_most=lambda users: 20 + users / 10),
        # Almost nothing, against a thread with its stack: half of that is far from nothing.
        Expectation("async_shared_thread", "memory", of=sync, at_most=0.5),
        # Those who wait are in nobody's way. Half of the wait is left for the CPU time that a
        # thousand requests a second need.
        Expectation("async_shared_thread", "latency", of="wait", at_most=1.5),
        Expectation(sync, "latency", of="wait", at_most=1.5),
    ],
)
