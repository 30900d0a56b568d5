"""One async client for several event loops.

Claim: to share a global resource of an event loop with threads, or with other loops, brings trouble
    of the kind that threads without a pool bring: some requests fail.
Blocks: nothing. An async client keeps connections, and each belongs to the loop that opened it.
    Under WSGI every request to an async view has a loop of its own, in a thread of its own: a
    connection that an earlier request has left behind is of a loop that has ended. Where more
    than a connection is shared, such as a pool's locks, requests hang instead.
Instead: a client or pool for each loop. Where every request has a loop, that is one for every
    request: so serve async views from one loop (ASGI). Threads can share a sync client.
"""

import asyncio

import httpx2
from django.conf import settings
from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import LIMITS, async_upstream, upstream

WAIT_MS = 100
WAIT = WAIT_MS / 1000
LONGEST = 1  # seconds: nothing promises that a client in the wrong loop ever answers
SHARED = httpx2.AsyncClient(base_url=settings.UPSTREAM_URL, limits=LIMITS, trust_env=False)


def sync(request: HttpRequest) -> JsonResponse:
    answer = upstream().get(f"/wait/{WAIT_MS}")
    return JsonResponse(answer.json())


async def async_shared_client(request: HttpRequest) -> JsonResponse:
    try:
        async with asyncio.timeout(LONGEST):
            answer = await SHARED.get(f"/wait/{WAIT_MS}")  # pitfall: whose loop is it?
    except (RuntimeError, TimeoutError, httpx2.HTTPError) as error:
        return JsonResponse({"error": f"{type(error).__name__}: {error}"}, status=503)
    return JsonResponse(answer.json())


async def async_client_per_loop(request: HttpRequest) -> JsonResponse:
    answer = await async_upstream().get(f"/wait/{WAIT_MS}")
    return JsonResponse(answer.json())


comparison = Comparison(
    users=6,
    variants=[
        Variant(sync, "wsgi-threads", wait=WAIT, may_fail=True),
        Variant(async_shared_client, "wsgi-threads", pitfall=True, may_fail=True),
        Variant(
            async_client_per_loop,
            "wsgi-threads",
            name="async_loop_per_request",
            wait=WAIT,
            may_fail=True,
        ),
        Variant(
            async_client_per_loop, "asgi-uvicorn", name="async_one_loop", wait=WAIT, may_fail=True
        ),
    ],
    expectations=[
        # A connection serves the request that opens it; the next one takes it, fails and throws it
        # away; the one after that opens another: half of them fail. Half of that is left for those
        # that come together and find none.
        Expectation(async_shared_client, "failures", at_least=0.25),
        # What each loop has opened itself works, and so does what is made for threads.
        Expectation("async_loop_per_request", "failures", at_most=0),
        Expectation("async_one_loop", "failures", at_most=0),
        Expectation(sync, "failures", at_most=0),
        # A client, a connection, a thread and a loop for each request, instead of one of each for
        # all: at least the half as much again that makes it worth knowing.
        Expectation("async_loop_per_request", "cpu_per_request", of="async_one_loop", at_least=1.5),
        # Little's law, for all who share rightly; 15 % is left for the stacks.
        Expectation("async_one_loop", "throughput", of="ceiling", at_least=0.85),
        Expectation(sync, "throughput", of="async_one_loop", between=(0.9, 1.1)),
    ],
)
