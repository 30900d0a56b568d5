"""Server-sent events.

Claim: on an event loop, who listens holds no thread; under WSGI, each holds one until it leaves.
Blocks: Django's ASGI handler makes a list of a sync iterator, in a thread, before it sends any.
    Nobody hears of a stream without end, whose thread goes on when its listener has left.
Instead: an async generator, whose `finally` runs when its listener leaves; and a handler that keeps
    no thread for each request (project/direct.py), or one for all (`many-waiting`).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

from django.http import HttpRequest, StreamingHttpResponse

from comparisons.pairs.many_waiting import MANY_CONNECTIONS, THREADS, as_many, seconds_from
from comparisons.registry import Comparison, Expectation, Variant

CASES, EVENTS, EVENT, TYPE = (100, 500), 4, "data: tick\n\n", "text/event-stream"
LISTENERS: set[object] = set()


def events(seconds: float) -> Iterator[str]:
    LISTENERS.add(me := object())
    try:
        for _ in range(EVENTS):
            yield EVENT
            time.sleep(seconds / EVENTS)
    finally:  # at its end, or when an event cannot be sent
        LISTENERS.remove(me)


async def async_events(seconds: float) -> AsyncIterator[str]:
    LISTENERS.add(me := object())
    try:
        for _ in range(EVENTS):
            yield EVENT
            await asyncio.sleep(seconds / EVENTS)
    finally:  # at its end, or as soon as its listener leaves
        LISTENERS.remove(me)


def sync(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(events(seconds_from(request.GET)), content_type=TYPE)


async def async_sync_iterator(request: HttpRequest) -> StreamingHttpResponse:
    stream = events(seconds_from(request.GET))
    return StreamingHttpResponse(stream, content_type=TYPE)  # pitfall: becomes a list first


async def async_native(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(async_events(seconds_from(request.GET)), content_type=TYPE)


DIRECT, REMEDIES = "async_direct", (sync, async_native, "async_direct")
WHOLE = "The list is complete, and its first event sent, when all of the wait is over."
AT_ONCE = "The first event is sent at once, and half have come when half of the wait is over."
EACH_ONE = "Who listens holds a thread; Django's ASGI handler keeps one for each request anyway."
HELPERS = "An event loop has its thread and a few helpers, however many listen: twenty is generous."
NO_STACK = "The same request, response and generator as a thread has, but no stack."
FEW = "At most 1,300 events a second, of a tenth of a ms each: who comes waits for few of them."
comparison = Comparison(
    users=CASES,
    waiting=lambda users: 0.9 + 0.0015 * users,  # until all have come, and for the window then
    variants=[
        Variant(sync, "wsgi-threads", threads=THREADS, environ=MANY_CONNECTIONS),
        Variant(async_sync_iterator, "asgi-uvicorn", pitfall=True),
        Variant(async_native, "asgi-uvicorn"),
        Variant(async_native, "asgi-uvicorn-direct", name=DIRECT),
    ],
    expectations=[
        Expectation(async_sync_iterator, "first_byte", of="wait", at_least=1, why=WHOLE),
        Expectation(REMEDIES, "first_byte", of="wait", at_most=0.5, why=AT_ONCE),
        Expectation((sync, async_native), "threads", at_least=as_many, users=100, why=EACH_ONE),
        *(Expectation(DIRECT, "threads", at_most=20, users=n, why=HELPERS) for n in CASES),
        *(Expectation(DIRECT, "memory", of=sync, at_most=1, users=n, why=NO_STACK) for n in CASES),
        *(Expectation(REMEDIES, "bystander", at_most=10, users=n, why=FEW) for n in CASES),
    ],
)
