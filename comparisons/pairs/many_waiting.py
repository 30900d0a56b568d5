"""Many requests waiting at once.

Claim: one event loop could serve millions of requests: one that waits costs it almost nothing.
Blocks: nothing blocks the loop. Under threads each request that waits holds a thread; and so it
    does under Django's ASGI handler, which runs the receivers of `request_started` in a thread of
    the request's own, starts that thread from the loop, and keeps it until the request is answered.
Instead: await, and let all requests share one thread for what Django does in threads: asgiref's
    `ThreadSensitiveContext(executor=...)` around the application (project/asgi.py, SHARED_THREAD).
    The price: what views do with `sync_to_async` then waits for its turn in that one thread.
"""

import asyncio
import time

from django.core.exceptions import BadRequest
from django.http import HttpRequest, JsonResponse, QueryDict

from comparisons.registry import Comparison, Expectation, Variant

LONGEST = 60.0
THREADS = 1_000
CROWDS = (10, 100, 1_000)


def seconds_from(query: QueryDict) -> float:
    """`?seconds=`, 0 to LONGEST; 1 where it is not given. Raises BadRequest."""
    try:
        seconds = float(query.get("seconds", 1))
    except ValueError:
        raise BadRequest("seconds is no number") from None
    if not 0 <= seconds <= LONGEST:
        raise BadRequest(f"seconds must be between 0 and {LONGEST:g}")
    return seconds


def sync(request: HttpRequest) -> JsonResponse:
    time.sleep(seconds_from(request.GET))
    return JsonResponse({"waited": True})


async def async_native(request: HttpRequest) -> JsonResponse:
    await asyncio.sleep(seconds_from(request.GET))
    return JsonResponse({"waited": True})


def time_to_come(users: int) -> float:
    """How long each of them waits, in seconds: until the last has come, and for the window then.

    Each costs the server about a millisecond of CPU time before it waits.
    """
    return 0.6 + 0.0012 * users


def as_many(users: int) -> int:
    """A function, so that the expectation follows `--users`."""
    return users


comparison = Comparison(
    users=(*CROWDS, 5_000),
    waiting=time_to_come,
    variants=[
        Variant(
            sync,
            "wsgi-threads",
            threads=THREADS,
            # More than there are threads, or gunicorn keeps no connection alive.
            environ={"GUNICORN_CMD_ARGS": "--worker-connections 10000"},
        ),
        Variant(async_native, "asgi-uvicorn"),
        Variant(
            async_native,
            "asgi-uvicorn",
            name="async_shared_thread",
            environ={"SHARED_THREAD": "1"},
        ),
    ],
    expectations=[
        # A thread for each request that waits.
        *(Expectation(sync, "threads", at_least=as_many, users=users) for users in CROWDS),
        # An event loop has its thread and a few helpers, however many wait: twenty is generous.
        *(Expectation(async_native, "threads", at_most=20, users=users) for users in CROWDS),
        *(
            Expectation("async_shared_thread", "threads", at_most=20, users=users)
            for users in (*CROWDS, 5_000)
        ),
        # Almost nothing, against a thread with its stack: half of that is far from nothing.
        Expectation("async_shared_thread", "memory", of=sync, at_most=0.5, users=1_000),
        # Those who wait are in nobody's way. A trivial request costs a millisecond or two; if the
        # loop had to look at everyone who waits, at a few microseconds each, that would add ten.
        *(
            Expectation("async_shared_thread", "bystander", at_most=10, users=users)
            for users in (1_000, 5_000)
        ),
    ],
)
