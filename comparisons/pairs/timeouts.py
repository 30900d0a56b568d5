"""Timeouts.

Claim: `asyncio.timeout` around `sync_to_async` gives an answer in time, and stops nothing: no
    thread can be cancelled, so its call goes on while the next request starts another.
Blocks: nothing; threads and calls pile up. With `thread_sensitive=False` they queue for the few
    threads of the default executor, and most requests are over before their call has begun.
Instead: the client's own timeout, in sync code and so in threads; or a native call, which
    `asyncio.timeout` cancels.
"""

import asyncio
import os
from contextlib import suppress

import httpx2
from asgiref.sync import sync_to_async
from django.http import HttpRequest, JsonResponse

from comparisons.registry import NEAR, Comparison, Expectation, Variant
from comparisons.resources import async_upstream, upstream

PATH, TIMEOUT = "/wait/800", 0.1  # a call of 0.8 s that gets 0.1
EXECUTOR = min(32, (os.cpu_count() or 1) + 4)  # threads of the default executor, at most


def sync(request: HttpRequest) -> JsonResponse:
    with suppress(httpx2.TimeoutException):
        upstream().get(PATH, timeout=TIMEOUT)
    return JsonResponse({"answer": None})


async def async_threaded(request: HttpRequest) -> JsonResponse:
    with suppress(TimeoutError):
        async with asyncio.timeout(TIMEOUT):
            await sync_to_async(upstream().get)(PATH)  # pitfall: the thread goes on
    return JsonResponse({"answer": None})


async def async_executor(request: HttpRequest) -> JsonResponse:
    with suppress(TimeoutError):
        async with asyncio.timeout(TIMEOUT):
            await sync_to_async(upstream().get, thread_sensitive=False)(PATH)  # pitfall: and queues
    return JsonResponse({"answer": None})


async def async_client_timeout(request: HttpRequest) -> JsonResponse:
    with suppress(httpx2.TimeoutException):
        await sync_to_async(upstream().get)(PATH, timeout=TIMEOUT)
    return JsonResponse({"answer": None})


async def async_native(request: HttpRequest) -> JsonResponse:
    with suppress(TimeoutError):
        async with asyncio.timeout(TIMEOUT):
            await async_upstream().get(PATH)
    return JsonResponse({"answer": None})


ASYNC = (async_threaded, async_executor, async_client_timeout, async_native)
STOPPING = (sync, async_client_timeout, async_native)
IN_TIME = "Whatever goes on behind it, an answer waits for TIMEOUT and no longer."
PILE = "Each user starts a call every TIMEOUT, which takes eight; a window lasts for three or more."
QUEUE = "So many threads the default executor has; what waits for one has called nobody yet."
ENDED = "A user's call of this request, and that of the last, of whose end the upstream hears now."
comparison = Comparison(
    users=10,
    variants=[
        Variant(sync, "wsgi-threads", wait=TIMEOUT),
        Variant(async_threaded, "asgi-uvicorn", wait=TIMEOUT, pitfall=True),
        Variant(async_executor, "asgi-uvicorn", wait=TIMEOUT, pitfall=True),
        Variant(async_client_timeout, "asgi-uvicorn", wait=TIMEOUT),
        Variant(async_native, "asgi-uvicorn", wait=TIMEOUT),
    ],
    expectations=[
        Expectation(ASYNC, "throughput", of="ceiling", at_least=NEAR, why=IN_TIME),
        Expectation(async_threaded, "upstream_calls", at_least=lambda n: 3 * n, why=PILE),
        Expectation(async_executor, "upstream_calls", at_most=EXECUTOR, why=QUEUE),
        Expectation(STOPPING, "upstream_calls", at_most=lambda n: 2 * n, why=ENDED),
    ],
)
