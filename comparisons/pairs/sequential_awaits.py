"""Sequential awaits.

Claim: awaiting one call after another is no faster than calling; concurrency must be asked for.
Blocks: nothing blocks the event loop; the request alone waits, for the sum of its calls.
Instead: start independent calls together: with TaskGroup, create_task or gather, or with threads.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from django.http import HttpRequest, JsonResponse

from comparisons.registry import NEAR, SAME, Comparison, Expectation, Variant
from comparisons.resources import async_upstream, upstream

WAITS_MS = (50, 25, 75)
SUM = sum(WAITS_MS) / 1000  # seconds
MAX = max(WAITS_MS) / 1000  # seconds


def sync(request: HttpRequest) -> JsonResponse:
    answers = [upstream().get(f"/wait/{ms}") for ms in WAITS_MS]
    return JsonResponse({"answers": [answer.json() for answer in answers]})


def sync_threads(request: HttpRequest) -> JsonResponse:
    with ThreadPoolExecutor(len(WAITS_MS)) as threads:
        answers = list(threads.map(lambda ms: upstream().get(f"/wait/{ms}"), WAITS_MS))
    return JsonResponse({"answers": [answer.json() for answer in answers]})


async def async_sequential(request: HttpRequest) -> JsonResponse:
    answers = [await async_upstream().get(f"/wait/{ms}") for ms in WAITS_MS]  # pitfall: in turn
    return JsonResponse({"answers": [answer.json() for answer in answers]})


async def async_gather(request: HttpRequest) -> JsonResponse:
    answers = await asyncio.gather(*(async_upstream().get(f"/wait/{ms}") for ms in WAITS_MS))
    return JsonResponse({"answers": [answer.json() for answer in answers]})


async def async_create_task(request: HttpRequest) -> JsonResponse:
    tasks = [asyncio.create_task(async_upstream().get(f"/wait/{ms}")) for ms in WAITS_MS]
    answers = [await task for task in tasks]
    return JsonResponse({"answers": [answer.json() for answer in answers]})


async def async_task_group(request: HttpRequest) -> JsonResponse:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(async_upstream().get(f"/wait/{ms}")) for ms in WAITS_MS]
    answers = [task.result() for task in tasks]
    return JsonResponse({"answers": [answer.json() for answer in answers]})


THE_SUM = "One call after another, whatever the colour: a request waits for the sum of them."
TWICE = "SUM / MAX = 2 is what theory allows; a quarter is left for the calls' own CPU time."
LONGEST = "All at once, a request waits for the longest of its calls."
TASKS = (async_create_task, async_task_group)
SPELLINGS = "Three spellings of the same thing."
THREADS = "Sync code that fans out gains as much: async is another technique, not a faster one."
comparison = Comparison(
    users=4,
    variants=[
        Variant(sync, "wsgi-threads", wait=SUM),
        Variant(sync_threads, "wsgi-threads", wait=MAX),
        Variant(async_sequential, "asgi-uvicorn", wait=SUM, pitfall=True),
        Variant(async_gather, "asgi-uvicorn", wait=MAX),
        Variant(async_create_task, "asgi-uvicorn", wait=MAX),
        Variant(async_task_group, "asgi-uvicorn", wait=MAX),
    ],
    expectations=[
        Expectation(async_sequential, "throughput", of="ceiling", at_least=NEAR, why=THE_SUM),
        Expectation(async_sequential, "latency", of=sync, between=SAME, users=4, why=THE_SUM),
        Expectation(async_gather, "throughput", of=async_sequential, at_least=1.5, why=TWICE),
        Expectation(async_gather, "throughput", of="ceiling", at_least=NEAR, why=LONGEST),
        Expectation(TASKS, "latency", of=async_gather, between=SAME, why=SPELLINGS),
        Expectation(sync_threads, "latency", of=async_gather, between=SAME, users=4, why=THREADS),
    ],
)
