"""Ten thousand coroutines at once.

Claim: to build ten thousand coroutines and gather them all is the same mistake as to loop over ten
    thousand rows: it blocks now and then, and wastes memory.
Blocks: a task is made for each of them, then all take their first step, and when their waits end
    together all take their next one: each time the loop does nothing else. A semaphore bounds
    how many run, not how many are built.
Instead: batches; or a fixed number of tasks that take the next item when they are done with one.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant

ITEMS, AT_ONCE = 10_000, 500
# A service's answer to one item: a wait and nothing else, so that what the coroutines cost shows.
# One after another, a sync view would wait for ITEMS * WAIT.
WAIT = 0.005


async def send(item: int) -> int:
    await asyncio.sleep(WAIT)
    return 1


def sync_threads(request: HttpRequest) -> JsonResponse:
    items = iter(range(ITEMS))

    def send_next(_thread: int) -> int:
        sent = 0
        for _item in items:
            time.sleep(WAIT)
            sent += 1
        return sent

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return JsonResponse({"sent": sum(threads.map(send_next, range(AT_ONCE)))})


async def async_gather_all(request: HttpRequest) -> JsonResponse:
    coroutines = [send(item) for item in range(ITEMS)]
    return JsonResponse({"sent": sum(await asyncio.gather(*coroutines))})  # pitfall


async def async_semaphore(request: HttpRequest) -> JsonResponse:
    semaphore = asyncio.Semaphore(AT_ONCE)

    async def send_in_turn(item: int) -> int:
        async with semaphore:
            return await send(item)

    coroutines = [send_in_turn(item) for item in range(ITEMS)]
    return JsonResponse({"sent": sum(await asyncio.gather(*coroutines))})  # pitfall: all are built


async def async_batches(request: HttpRequest) -> JsonResponse:
    sent = 0
    for start in range(0, ITEMS, AT_ONCE):
        batch = [send(item) for item in range(start, start + AT_ONCE)]
        sent += sum(await asyncio.gather(*batch))
    return JsonResponse({"sent": sent})


async def async_bounded(request: HttpRequest) -> JsonResponse:
    items = iter(range(ITEMS))

    async def send_next() -> int:
        return sum([await send(item) for item in items])

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(send_next()) for _ in range(AT_ONCE)]
    return JsonResponse({"sent": sum(task.result() for task in tasks)})


comparison = Comparison(
    users=1,
    variants=[
        Variant(sync_threads, "wsgi-threads", wait=ITEMS / AT_ONCE * WAIT),
        Variant(async_gather_all, "asgi-uvicorn", wait=WAIT, pitfall=True),
        Variant(async_semaphore, "asgi-uvicorn", wait=ITEMS / AT_ONCE * WAIT, pitfall=True),
        Variant(async_batches, "asgi-uvicorn", wait=ITEMS / AT_ONCE * WAIT),
        Variant(async_bounded, "asgi-uvicorn", wait=ITEMS / AT_ONCE * WAIT),
    ],
    expectations=[
        # Whatever the loop does in one go, it does for AT_ONCE instead of for ITEMS: a twentieth.
        # Half is left for the bystander's own request.
        Expectation(async_batches, "bystander_p99", of=async_gather_all, at_most=0.5),
        Expectation(async_bounded, "bystander_p99", of=async_gather_all, at_most=0.5),
        # A twentieth of the tasks, timers and futures, and what any server grows by when it is used
        # for the first time.
        Expectation(async_batches, "memory", of=async_gather_all, at_most=0.5),
        Expectation(async_bounded, "memory", of=async_gather_all, at_most=0.5),
        # As many tasks as without the semaphore, and none of them smaller.
        Expectation(async_semaphore, "memory", of=async_gather_all, at_least=0.7),
        # A twentieth of the tasks to make, and as many waits.
        Expectation(async_bounded, "cpu_per_request", of=async_gather_all, at_most=1),
    ],
)
