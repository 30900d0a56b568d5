"""Blocking calls in threads.

Claim: a blocking call can wait in a thread outside the event loop, but threads are limited: as they
    fill, waiting grows.
Blocks: nothing blocks the loop; a request waits until a thread of the executor is free. A
    thread-sensitive call has the thread of its request, where calls of one request take turns.
Instead: an executor of your own, as large as what is called can bear; or await, with no thread.
"""

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor

from asgiref.sync import sync_to_async
from django.http import HttpRequest, JsonResponse

from comparisons.registry import NEAR, Comparison, Expectation, Variant

WAIT = 0.1  # seconds
OWN_THREADS = 100
OWN_EXECUTOR = ThreadPoolExecutor(OWN_THREADS)
# Of the loop's default executor; from Python 3.13 on it counts the cores that the process may use.
THREADS = min(32, (getattr(os, "process_cpu_count", os.cpu_count)() or 1) + 4)


def sync(request: HttpRequest) -> JsonResponse:
    time.sleep(WAIT)
    return JsonResponse({"waited": WAIT})


async def async_default_executor(request: HttpRequest) -> JsonResponse:
    await sync_to_async(time.sleep, thread_sensitive=False)(WAIT)
    return JsonResponse({"waited": WAIT})


async def async_thread_sensitive(request: HttpRequest) -> JsonResponse:
    await sync_to_async(time.sleep)(WAIT)
    return JsonResponse({"waited": WAIT})


async def async_own_executor(request: HttpRequest) -> JsonResponse:
    await sync_to_async(time.sleep, thread_sensitive=False, executor=OWN_EXECUTOR)(WAIT)
    return JsonResponse({"waited": WAIT})


async def async_native(request: HttpRequest) -> JsonResponse:
    await asyncio.sleep(WAIT)
    return JsonResponse({"waited": WAIT})


SLOTS = "By Little's law the threads, an executor's or the server's, are slots that are all used."
QUEUE = "Who finds no thread free queues for it: users / threads waits; half the queue is asked."
ENOUGH = "Threads enough for everyone, or none needed: users / wait."
FEW = "async_default_executor"
FREE = (async_own_executor, async_thread_sensitive, async_native)
MORE = "Users / threads times as many can wait; a fifth is left for what that costs."
comparison = Comparison(
    users=20,
    variants=[
        Variant(sync, "wsgi-threads", wait=WAIT),
        Variant(async_default_executor, "asgi-uvicorn", wait=WAIT, slots=THREADS),
        Variant(async_thread_sensitive, "asgi-uvicorn", wait=WAIT),
        Variant(async_own_executor, "asgi-uvicorn", wait=WAIT, slots=OWN_THREADS),
        Variant(async_native, "asgi-uvicorn", wait=WAIT),
    ],
    expectations=[
        Expectation((FEW, sync), "throughput", of="ceiling", at_least=NEAR, why=SLOTS),
        Expectation(FEW, "latency", of="wait", at_least=lambda n: (1 + n / THREADS) / 2, why=QUEUE),
        Expectation(FREE, "throughput", of="ceiling", at_least=NEAR, why=ENOUGH),
        Expectation(
            async_own_executor,
            "throughput",
            of=FEW,
            at_least=lambda n: 0.8 * min(n, OWN_THREADS) / THREADS,
            why=MORE,
        ),
    ],
)
