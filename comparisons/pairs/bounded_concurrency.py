"""Bounded concurrency.

Claim: a service takes only so many requests at once (they all do): bound how many run together.
Blocks: nothing blocks the loop; a call beyond the capacity fails, and with it the whole request.
Instead: a semaphore that all requests share; one made in the view bounds one request, and not their
    sum. Each of several processes needs a share of the capacity.
"""

import asyncio
from functools import lru_cache

import httpx2
from django.http import HttpRequest, JsonResponse

from comparisons.limited import limited_path, response_for
from comparisons.registry import NEAR, Comparison, Expectation, Variant
from comparisons.resources import async_upstream, upstream

CAPACITY = 10  # calls at once
CALLS = 12  # of a request
WAIT_MS = 40  # of a call
SUM = CALLS * WAIT_MS / 1000


def path() -> str:
    return limited_path("bounded", CAPACITY, WAIT_MS)


@lru_cache(maxsize=1)  # one an event loop, and a server has one
def shared_semaphore(loop: asyncio.AbstractEventLoop) -> asyncio.Semaphore:
    return asyncio.Semaphore(CAPACITY)


async def call_within(semaphore: asyncio.Semaphore) -> httpx2.Response:
    async with semaphore:
        return await async_upstream().get(path())


def sync(request: HttpRequest) -> JsonResponse:
    return response_for([upstream().get(path()) for _ in range(CALLS)])


async def async_unbounded(request: HttpRequest) -> JsonResponse:
    calls = [async_upstream().get(path()) for _ in range(CALLS)]
    return response_for(await asyncio.gather(*calls))  # pitfall: all at once


async def async_own_semaphore(request: HttpRequest) -> JsonResponse:
    semaphore = asyncio.Semaphore(CAPACITY)  # pitfall: every request has one of its own
    return response_for(await asyncio.gather(*(call_within(semaphore) for _ in range(CALLS))))


async def async_semaphore(request: HttpRequest) -> JsonResponse:
    semaphore = shared_semaphore(asyncio.get_running_loop())
    return response_for(await asyncio.gather(*(call_within(semaphore) for _ in range(CALLS))))


ALL = "One request alone asks for more calls at once than the capacity: every one of them fails."
TWO = "Two at once ask for twice the capacity; half is left for one that happens to be alone."
BOUND = "Never more calls at once than the capacity, and no slot of it idle while a call waits."
SLOTS = "CAPACITY calls at once against one a user; three tenths are for what the calls cost."
comparison = Comparison(
    users=5,
    variants=[
        # With a shared semaphore CAPACITY calls run at once: a request each SUM / CAPACITY.
        Variant(sync, "wsgi-threads", wait=SUM),
        Variant(async_unbounded, "asgi-uvicorn", pitfall=True, may_fail=True),
        Variant(async_own_semaphore, "asgi-uvicorn", pitfall=True, may_fail=True),
        Variant(async_semaphore, "asgi-uvicorn", wait=SUM / CAPACITY, slots=1, may_fail=True),
    ],
    expectations=[
        Expectation(async_unbounded, "failures", at_least=0.9, why=ALL),
        Expectation(async_own_semaphore, "failures", at_least=0.5, users=5, why=TWO),
        Expectation(async_semaphore, "failures", at_most=0, why=BOUND),
        Expectation(async_semaphore, "throughput", of="ceiling", at_least=NEAR, users=5, why=BOUND),
        Expectation(
            async_semaphore, "throughput", of=sync, at_least=0.7 * CAPACITY / 5, users=5, why=SLOTS
        ),
    ],
)
