"""A semaphore around ten thousand coroutines.

Claim: a semaphore bounds how many coroutines run, not how many are built.
Blocks: a task is made for each of the ten thousand, and keeps its memory until its turn comes. A
    pool of threads keeps a future for each in the same way.
Instead: a fixed number of tasks that take the next item when they are done with one.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant

ITEMS = 10_000
AT_ONCE = 500
WAIT = 0.005  # seconds for an item, and nothing else, so that what the coroutines cost shows
ALL_WAITS = ITEMS / AT_ONCE * WAIT


def send_blocking(item: int) -> int:
    time.sleep(WAIT)
    return 1


async def send(item: int) -> int:
    await asyncio.sleep(WAIT)
    return 1


def sync_threads(request: HttpRequest) -> JsonResponse:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return JsonResponse({"sent": sum(threads.map(send_blocking, range(ITEMS)))})


async def async_gather_all(request: HttpRequest) -> JsonResponse:
    sent = await asyncio.gather(*map(send, range(ITEMS)))  # pitfall: all of them at once
    return JsonResponse({"sent": sum(sent)})


async def async_semaphore(request: HttpRequest) -> JsonResponse:
    semaphore = asyncio.Semaphore(AT_ONCE)

    async def send_in_turn(item: int) -> int:
        async with semaphore:
            return await send(item)

    sent = await asyncio.gather(*map(send_in_turn, range(ITEMS)))  # pitfall: all are built
    return JsonResponse({"sent": sum(sent)})


async def async_bounded(request: HttpRequest) -> JsonResponse:
    items = iter(range(ITEMS))

    async def send_next() -> int:
        return sum([await send(item) for item in items])

    sent = await asyncio.gather(*(send_next() for _ in range(AT_ONCE)))
    return JsonResponse({"sent": sum(sent)})


AS_MANY = (
    "It makes as many tasks as without the semaphore, and none is smaller; 30 % are for timers."
)
TASKS = "A twentieth of the tasks and timers; half is left for what any first request takes."
comparison = Comparison(
    users=1,
    variants=[
        Variant(sync_threads, "wsgi-threads", wait=ALL_WAITS),
        Variant(async_gather_all, "asgi-uvicorn", wait=WAIT, pitfall=True),
        Variant(async_semaphore, "asgi-uvicorn", wait=ALL_WAITS, pitfall=True),
        Variant(async_bounded, "asgi-uvicorn", wait=ALL_WAITS),
    ],
    expectations=[
        Expectation(async_semaphore, "memory", of=async_gather_all, at_least=0.7, why=AS_MANY),
        Expectation(async_bounded, "memory", of=async_semaphore, at_most=0.5, why=TASKS),
    ],
)
