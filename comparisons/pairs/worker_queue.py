"""Workers that take calls from a queue.

Claim: a fixed number of workers that take calls from one queue bounds them as a semaphore does.
Blocks: nothing blocks the loop; a request waits until workers have made its calls. (A pool of
    threads is workers and a queue by itself.)
Instead: this or a shared semaphore, which is shorter: see bounded-concurrency.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from typing import Any

import httpx2
from django.http import HttpRequest, JsonResponse

from comparisons.limited import limited_path, response_for
from comparisons.registry import NEAR, SAME, Comparison, Expectation, Variant
from comparisons.resources import async_upstream, upstream

CAPACITY = 10  # calls at once
CALLS = 12  # of a request
WAIT_MS = 40  # of a call
SUM = CALLS * WAIT_MS / 1000
THREADS = ThreadPoolExecutor(CAPACITY)
Calls = asyncio.Queue[asyncio.Future[httpx2.Response]]


def path() -> str:
    return limited_path("queued", CAPACITY, WAIT_MS)


async def work(calls: Calls) -> None:
    while True:
        answer = await calls.get()
        with suppress(asyncio.InvalidStateError):  # whoever asked has gone
            try:
                answer.set_result(await async_upstream().get(path()))
            except Exception as error:  # whatever it is, whoever asked must hear of it
                answer.set_exception(error)


@lru_cache(maxsize=1)  # one an event loop, and a server has one
def shared_workers(loop: asyncio.AbstractEventLoop) -> tuple[Calls, list[asyncio.Task[None]]]:
    calls = Calls()
    return calls, [loop.create_task(work(calls)) for _ in range(CAPACITY)]


def sync_threads(request: HttpRequest) -> JsonResponse:
    return response_for(THREADS.map(upstream().get, [path()] * CALLS))


async def async_worker_queue(request: HttpRequest) -> JsonResponse:
    loop = asyncio.get_running_loop()
    calls, _workers = shared_workers(loop)
    wanted = [loop.create_future() for _ in range(CALLS)]
    for answer in wanted:
        calls.put_nowait(answer)
    return response_for(await asyncio.gather(*wanted))


BOUND = "There are as many workers as the service takes calls at once, and so it refuses none."
BUSY = "No worker is idle while a call waits, so the service's capacity is the only limit."
ALIKE = "Threads that take calls from a pool's queue, and tasks that do, bound them alike."
BOUNDED: dict[str, Any] = {"wait": SUM / CAPACITY, "slots": 1, "may_fail": True}
comparison = Comparison(
    users=5,
    variants=[
        Variant(sync_threads, "wsgi-threads", **BOUNDED),
        Variant(async_worker_queue, "asgi-uvicorn", **BOUNDED),
    ],
    expectations=[
        Expectation((sync_threads, async_worker_queue), "failures", at_most=0, why=BOUND),
        Expectation(async_worker_queue, "throughput", of="ceiling", at_least=NEAR, why=BUSY),
        Expectation(sync_threads, "throughput", of=async_worker_queue, between=SAME, why=ALIKE),
    ],
)
