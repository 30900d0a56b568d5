"""Ten thousand coroutines at once.

Claim: to gather ten thousand coroutines at once is the same mistake as to loop over ten thousand
    rows: it blocks now and then, and wastes memory.
Blocks: the loop makes a task for each, then all take their first step, and later their next one.
Instead: batches; or a fixed number of tasks that take the next item when they are done with one.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant

ITEMS = 10_000
AT_ONCE = 500
WAIT = 0.005  # seconds for an item, and nothing else, so that what the coroutines cost shows


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
    sent = await asyncio.gather(*map(send, range(ITEMS)))  # pitfall: all of them at once
    return JsonResponse({"sent": sum(sent)})


async def async_batches(request: HttpRequest) -> JsonResponse:
    sent = 0
    for start in range(0, ITEMS, AT_ONCE):
        sent += sum(await asyncio.gather(*map(send, range(start, start + AT_ONCE))))
    return JsonResponse({"sent": sent})


async def async_bounded(request: HttpRequest) -> JsonResponse:
    items = iter(range(ITEMS))

    async def send_next() -> int:
        return sum([await send(item) for item in items])

    sent = await asyncio.gather(*(send_next() for _ in range(AT_ONCE)))
    return JsonResponse({"sent": sum(sent)})


BOTH = (async_batches, async_bounded)
ONE_GO = "The loop starts a twentieth in one go; half is left for a bystander's own request."
TASKS = "A twentieth of the tasks and timers; half is left for what any first request takes."
FEWER = "A twentieth of the tasks is made, for as many waits: it can't take more CPU time."
comparison = Comparison(
    users=1,
    variants=[
        Variant(sync_threads, "wsgi-threads", wait=ITEMS / AT_ONCE * WAIT),
        Variant(async_gather_all, "asgi-uvicorn", wait=WAIT, pitfall=True),
        Variant(async_batches, "asgi-uvicorn", wait=ITEMS / AT_ONCE * WAIT),
        Variant(async_bounded, "asgi-uvicorn", wait=ITEMS / AT_ONCE * WAIT),
    ],
    expectations=[
        Expectation(BOTH, "bystander_max", of=async_gather_all, at_most=0.5, why=ONE_GO),
        Expectation(BOTH, "memory", of=async_gather_all, at_most=0.5, why=TASKS),
        Expectation(async_bounded, "cpu_per_request", of=async_gather_all, at_most=1, why=FEWER),
    ],
)
