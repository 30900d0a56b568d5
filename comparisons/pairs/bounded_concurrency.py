"""Bounded concurrency.

Claim: a service takes only so many requests at once (they all do): bound how many run together.
Blocks: nothing blocks the event loop; what is asked of the service beyond its capacity fails, and
    with it the request that asked.
Instead: bound the calls where all requests share the bound: a semaphore, or workers that take calls
    from a queue. A semaphore made in the view bounds one request, and their sum is not bounded.
    Each of several processes needs a share of the capacity.
"""

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache

import httpx2
from django.conf import settings
from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_upstream, upstream

CAPACITY, WAIT_MS, CALLS = 10, 40, 12
PATH = f"/limited/{settings.DEPLOYMENT_NONCE or 'anyone'}/{CAPACITY}/{WAIT_MS}"
SUM = CALLS * WAIT_MS / 1000
THREADS = ThreadPoolExecutor(CAPACITY)  # a pool of threads is a bound by itself


def told(answers: Iterable[httpx2.Response]) -> JsonResponse:
    served = sum(answer.is_success for answer in answers)
    return JsonResponse({"served": served}, status=200 if served == CALLS else 503)


def sync(request: HttpRequest) -> JsonResponse:
    return told([upstream().get(PATH) for _ in range(CALLS)])


def sync_threads(request: HttpRequest) -> JsonResponse:
    return told(THREADS.map(upstream().get, [PATH] * CALLS))


async def async_unbounded(request: HttpRequest) -> JsonResponse:
    answers = await asyncio.gather(*(async_upstream().get(PATH) for _ in range(CALLS)))  # pitfall
    return told(answers)


async def async_own_semaphore(request: HttpRequest) -> JsonResponse:
    semaphore = asyncio.Semaphore(CAPACITY)  # pitfall: every request has one of its own

    async def call() -> httpx2.Response:
        async with semaphore:
            return await async_upstream().get(PATH)

    answers = await asyncio.gather(*(call() for _ in range(CALLS)))
    return told(answers)


@lru_cache(maxsize=1)  # one an event loop, and a server has one
def shared_semaphore(loop: asyncio.AbstractEventLoop) -> asyncio.Semaphore:
    return asyncio.Semaphore(CAPACITY)


async def async_semaphore(request: HttpRequest) -> JsonResponse:
    semaphore = shared_semaphore(asyncio.get_running_loop())

    async def call() -> httpx2.Response:
        async with semaphore:
            return await async_upstream().get(PATH)

    answers = await asyncio.gather(*(call() for _ in range(CALLS)))
    return told(answers)


Calls = asyncio.Queue[asyncio.Future[httpx2.Response]]


async def work(calls: Calls) -> None:
    while True:
        answer = await calls.get()
        with suppress(asyncio.InvalidStateError):  # whoever asked has gone
            try:
                answer.set_result(await async_upstream().get(PATH))
            except Exception as error:  # whatever it is, whoever asked must hear of it
                answer.set_exception(error)


@lru_cache(maxsize=1)
def shared_workers(loop: asyncio.AbstractEventLoop) -> tuple[Calls, list[asyncio.Task[None]]]:
    calls = Calls()
    return calls, [loop.create_task(work(calls)) for _ in range(CAPACITY)]


async def async_worker_queue(request: HttpRequest) -> JsonResponse:
    loop = asyncio.get_running_loop()
    calls, _workers = shared_workers(loop)
    wanted = [loop.create_future() for _ in range(CALLS)]
    for answer in wanted:
        calls.put_nowait(answer)
    return told(await asyncio.gather(*wanted))


comparison = Comparison(
    users=5,
    variants=[
        # Bounded to the capacity, the calls of a request take a share of SUM / CAPACITY of it.
        Variant(sync, "wsgi-threads", wait=SUM),
        Variant(sync_threads, "wsgi-threads", wait=SUM / CAPACITY, slots=1, may_fail=True),
        Variant(async_unbounded, "asgi-uvicorn", pitfall=True, may_fail=True),
        Variant(async_own_semaphore, "asgi-uvicorn", pitfall=True, may_fail=True),
        Variant(async_semaphore, "asgi-uvicorn", wait=SUM / CAPACITY, slots=1, may_fail=True),
        Variant(async_worker_queue, "asgi-uvicorn", wait=SUM / CAPACITY, slots=1, may_fail=True),
    ],
    expectations=[
        # One request alone asks for more than the capacity: each of them fails.
        Expectation(async_unbounded, "failures", at_least=0.9),
        # Two at once ask for twice the capacity. Half is left for one that happens to be alone.
        Expectation(async_own_semaphore, "failures", at_least=0.5),
        # Never more than the capacity: none fails.
        Expectation(async_semaphore, "failures", at_most=0),
        Expectation(async_worker_queue, "failures", at_most=0),
        Expectation(sync_threads, "failures", at_most=0),
        # The capacity is the ceiling; three tenths are left for what 250 calls a second cost.
        Expectation(async_semaphore, "throughput", of="ceiling", at_least=0.7),
        # It uses CAPACITY slots, and one call after another a slot a user; as much is left.
        Expectation(
            async_semaphore, "throughput", of=sync, at_least=lambda users: 0.7 * CAPACITY / users
        ),
        # Three spellings of the same bound.
        Expectation(async_worker_queue, "throughput", of=async_semaphore, between=(0.85, 1.2)),
        Expectation(sync_threads, "throughput", of=async_semaphore, between=(0.8, 1.25)),
    ],
)
