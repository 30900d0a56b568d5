"""A blocking call in an async view.

Claim: a call that cannot say that it waits makes everyone else wait: the async view that makes it
    serves less than the sync view that makes the same call.
Blocks: `upstream().get` waits for the answer in the thread of the event loop, so that the process
    does nothing else meanwhile: one request at a time, whatever their number.
Instead: await a client that was written for asyncio; where there is none, `sync_to_async` makes the
    call in a thread.
"""

from asgiref.sync import sync_to_async
from django.http import HttpRequest, JsonResponse

from comparisons.registry import NEAR, SAME, Comparison, Expectation, Variant
from comparisons.resources import async_upstream, upstream

WAIT_MS = 100
WAIT = WAIT_MS / 1000


def sync(request: HttpRequest) -> JsonResponse:
    answer = upstream().get(f"/wait/{WAIT_MS}")
    return JsonResponse(answer.json())


async def async_blocking(request: HttpRequest) -> JsonResponse:
    answer = upstream().get(f"/wait/{WAIT_MS}")  # pitfall: waits in the loop's thread
    return JsonResponse(answer.json())


async def async_threaded(request: HttpRequest) -> JsonResponse:
    answer = await sync_to_async(upstream().get)(f"/wait/{WAIT_MS}")
    return JsonResponse(answer.json())


async def async_native(request: HttpRequest) -> JsonResponse:
    answer = await async_upstream().get(f"/wait/{WAIT_MS}")
    return JsonResponse(answer.json())


ONE_BY_ONE = "It waits for one call after another: no more than 1 / wait, however many ask."
QUEUED = "Whoever comes during a wait waits for its end, and then for those who came before."
TOGETHER = "Together they give users / wait, one by one 1 / wait; half of that is for the stacks."
LITTLE = "By Little's law a loop that is free serves its users / wait: all of them wait at once."
FREE = "A free loop answers at once: within a tenth of the wait, twice a request's own few ms."
THREADS = "A thread waits as well as a loop does, while there is one for every user."
comparison = Comparison(
    users=6,
    variants=[
        Variant(sync, "wsgi-threads", wait=WAIT),
        Variant(async_blocking, "asgi-uvicorn", wait=WAIT, slots=1, pitfall=True),
        Variant(async_threaded, "asgi-uvicorn", wait=WAIT),
        Variant(async_native, "asgi-uvicorn", wait=WAIT),
    ],
    expectations=[
        Expectation(async_blocking, "throughput", of="ceiling", at_most=1, why=ONE_BY_ONE),
        Expectation(async_blocking, "bystander", of="wait", at_least=1, users=6, why=QUEUED),
        Expectation(
            async_native, "throughput", of=async_blocking, at_least=lambda n: n / 2, why=TOGETHER
        ),
        Expectation(async_blocking, "throughput", of=sync, at_most=lambda n: 2 / n, why=TOGETHER),
        Expectation(async_native, "throughput", of="ceiling", at_least=NEAR, why=LITTLE),
        Expectation(async_native, "bystander", of="wait", at_most=0.1, why=FREE),
        Expectation(
            (async_threaded, sync),
            "throughput",
            of=async_native,
            between=SAME,
            users=6,
            why=THREADS,
        ),
    ],
)
