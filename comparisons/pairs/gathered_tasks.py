"""One of the calls that are made together fails.

Claim: `gather` raises at once and leaves the other calls running, for a request that is over:
    nobody waits for them, and nobody gets what they return.
Blocks: nothing blocks the loop; what runs on keeps the service, and connections to it, busy.
Instead: `TaskGroup` cancels the others (which closes their connections); `return_exceptions=True`
    waits for all and keeps what succeeded. Threads can't be cancelled: their `with` waits for them.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import httpx2
from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_upstream, upstream

WAIT_MS, FAILS_MS = 240, 40
PATHS = [f"/failing/{FAILS_MS}", *[f"/wait/{WAIT_MS}"] * 4]


async def call(path: str) -> httpx2.Response:
    return (await async_upstream().get(path)).raise_for_status()


def sync_threads(request: HttpRequest) -> JsonResponse:
    failed = 0
    try:
        with ThreadPoolExecutor(len(PATHS)) as threads:
            _ = [answer.raise_for_status() for answer in threads.map(upstream().get, PATHS)]
    except httpx2.HTTPStatusError:
        failed = 1
    return JsonResponse({"failed": failed})


async def async_gather(request: HttpRequest) -> JsonResponse:
    failed = 0
    try:
        await asyncio.gather(*map(call, PATHS))  # pitfall: ends with the first error, and it alone
    except httpx2.HTTPStatusError:
        failed = 1
    return JsonResponse({"failed": failed})


async def async_task_group(request: HttpRequest) -> JsonResponse:
    failed = 0
    try:
        async with asyncio.TaskGroup() as group:
            _ = [group.create_task(call(path)) for path in PATHS]
    except* httpx2.HTTPStatusError:
        failed = 1
    return JsonResponse({"failed": failed})


async def async_return_exceptions(request: HttpRequest) -> JsonResponse:
    answers = await asyncio.gather(*map(call, PATHS), return_exceptions=True)
    failed = sum(isinstance(answer, httpx2.HTTPStatusError) for answer in answers)
    return JsonResponse({"failed": failed})


FIRST, ALL = (async_gather, async_task_group), (sync_threads, async_return_exceptions)
OVER = "Of WAIT_MS / FAILS_MS = 6 requests of each user four calls run at once: 24; half is asked."
OWN = "Five calls of each user's request; as many are left for ends that are still on their way."
WAITS = "The answer comes with the failure (FAILS_MS), or with the last call (WAIT_MS), six to one."
comparison = Comparison(
    users=2,
    variants=[
        Variant(sync_threads, "wsgi-threads", wait=WAIT_MS / 1000),
        Variant(async_gather, "asgi-uvicorn", wait=FAILS_MS / 1000, pitfall=True),
        Variant(async_task_group, "asgi-uvicorn", wait=FAILS_MS / 1000),
        Variant(async_return_exceptions, "asgi-uvicorn", wait=WAIT_MS / 1000),
    ],
    expectations=[
        Expectation(async_gather, "upstream_calls", at_least=lambda n: 12 * n, why=OVER),
        Expectation((*ALL, async_task_group), "upstream_calls", at_most=lambda n: 10 * n, why=OWN),
        Expectation(FIRST, "latency", of=async_return_exceptions, at_most=0.5, why=WAITS),
        Expectation(ALL, "latency", of="wait", at_least=1, why=WAITS),
    ],
)
