"""Blocking calls in threads.

Claim: a blocking call can wait in a thread outside the event loop, but threads are limited: as they
    fill, waiting grows.
Blocks: nothing blocks the loop; a request waits for one of the threads to come free. The loop's
    default executor has min(32, cores + 4). A thread-sensitive call has the thread that Django
    keeps for its request, and there the calls of one request wait for each other.
Instead: an executor of your own, as large as what is called can bear; or await, with no thread.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from asgiref.sync import sync_to_async
from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant

WAIT = 0.1
OWN_EXECUTOR = ThreadPoolExecutor(100)
DEFAULT_THREADS = ThreadPoolExecutor()._max_workers  # min(32, cores + 4), as in the loop's own


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


comparison = Comparison(
    users=20,
    variants=[
        Variant(sync, "wsgi-threads", wait=WAIT),
        Variant(async_default_executor, "asgi-uvicorn", wait=WAIT, slots=DEFAULT_THREADS),
        Variant(async_thread_sensitive, "asgi-uvicorn", wait=WAIT),
        Variant(async_own_executor, "asgi-uvicorn", wait=WAIT, slots=100),
        Variant(async_native, "asgi-uvicorn", wait=WAIT),
    ],
    expectations=[
        # Little's law with threads for slots: the threads are the limit and they are used; a sixth
        # is left for what the stack costs.
        Expectation(async_default_executor, "throughput", of="ceiling", at_least=0.83),
        # Who finds no thread free waits for users / threads waits in all.
        Expectation(
            async_default_executor,
            "latency",
            of="wait",
            at_least=lambda users: 0.83 * max(1, users / DEFAULT_THREADS),
        ),
        # Threads enough for everyone: users / wait. A fifth is left for Django, and for threads
        # that come and go.
        Expectation(async_own_executor, "throughput", of="ceiling", at_least=0.8),
        Expectation(
            async_own_executor,
            "throughput",
            of=async_default_executor,
            at_least=lambda users: 0.8 * max(1, users / DEFAULT_THREADS),
        ),
        # So has the thread-sensitive way, with a thread for each request; and a loop needs none.
        Expectation(async_thread_sensitive, "throughput", of="ceiling", at_least=0.8),
        Expectation(async_native, "throughput", of="ceiling", at_least=0.8),
        # Under WSGI it is the same law: the server's threads are the slots.
        Expectation(sync, "throughput", of="ceiling", at_least=0.83),
    ],
)
