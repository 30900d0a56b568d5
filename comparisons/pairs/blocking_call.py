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

from comparisons.registry import Comparison, Expectation, Variant
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


comparison = Comparison(
    users=6,
    variants=[
        Variant(sync, "wsgi-threads", wait=WAIT),
        Variant(async_blocking, "asgi-uvicorn", wait=WAIT, slots=1, pitfall=True),
        Variant(async_threaded, "asgi-uvicorn", wait=WAIT),
        Variant(async_native, "asgi-uvicorn", wait=WAIT),
    ],
    expectations=[
        # Its ceiling is one wait after another, 1 / wait; a tenth is left for what the stack costs.
        Expectation(async_blocking, "throughput", of="ceiling", at_least=0.9),
        # Whoever comes while a wait is on waits for its end, and then for those queued before.
        Expectation(async_blocking, "bystander", of="wait", at_least=1),
        # Ceilings: users / wait against 1 / wait. Half of it is left for what the stacks cost.
        Expectation(
            async_native, "throughput", of=async_blocking, at_least=lambda users: users / 2
        ),
        Expectation(async_blocking, "throughput", of=sync, at_most=lambda users: 2 / users),
        # Little's law; 15 % of the wait is left for Django, the client and the network.
        Expectation(async_native, "throughput", of="ceiling", at_least=0.85),
        # A free loop answers at once: a tenth of the wait is generous.
        Expectation(async_native, "bystander", of="wait", at_most=0.1),
        # A thread waits as well as a loop does, while there are threads enough.
        Expectation(async_threaded, "throughput", of=async_native, between=(0.9, 1.1)),
        Expectation(sync, "throughput", of=async_native, between=(0.9, 1.1)),
    ],
)
