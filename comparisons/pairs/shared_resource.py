"""One async client for several event loops.

Claim: some requests fail when threads or event loops share a resource that belongs to one loop.
Blocks: nothing; but a connection belongs to the loop that opened it, and under WSGI every request
    to an async view has a loop of its own. Where a pool's locks are shared too, requests hang.
Instead: a client or pool for each loop; so serve async views from one loop (ASGI), or each request
    opens its own. Threads can share a sync client.
"""

import asyncio
from functools import cache
from typing import Any

import httpx2
from django.conf import settings
from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import LIMITS, async_upstream, upstream

WAIT_MS = 100
WAIT = WAIT_MS / 1000
TIMEOUT = 1  # seconds: nothing promises that a client in the wrong loop ever answers


@cache
def shared_client() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=settings.UPSTREAM_URL, limits=LIMITS, trust_env=False)


def sync(request: HttpRequest) -> JsonResponse:
    answer = upstream().get(f"/wait/{WAIT_MS}")
    return JsonResponse(answer.json())


async def async_shared_client(request: HttpRequest) -> JsonResponse:
    try:
        async with asyncio.timeout(TIMEOUT):
            answer = await shared_client().get(f"/wait/{WAIT_MS}")  # pitfall: whose loop is it?
    except (RuntimeError, TimeoutError, httpx2.HTTPError) as error:
        return JsonResponse({"error": f"{type(error).__name__}: {error}"}, status=503)
    return JsonResponse(answer.json())


async def async_per_loop(request: HttpRequest) -> JsonResponse:
    answer = await async_upstream().get(f"/wait/{WAIT_MS}")
    return JsonResponse(answer.json())


WAITS: dict[str, Any] = {"wait": WAIT, "may_fail": True}
comparison = Comparison(
    users=6,
    variants=[
        Variant(sync, "wsgi-threads", **WAITS),
        Variant(async_shared_client, "wsgi-threads", pitfall=True, may_fail=True),
        Variant(async_per_loop, "wsgi-threads", name="async_loop_per_request", **WAITS),
        Variant(async_per_loop, "asgi-uvicorn", name="async_one_loop", **WAITS),
    ],
    expectations=[
        # A connection serves the request that opens it; the next one takes it, fails and throws it
        # away; the one after that opens another: half of them fail. Half of that is left for those
        # that come together and find none.
        Expectation(async_shared_client, "failures", at_least=0.25),
        # What each loop has opened itself works, and so does what is made for threads.
        Expectation(("async_loop_per_request", "async_one_loop", sync), "failures", at_most=0),
        # A client, a connection, a thread and a loop for each request, instead of one of each for
        # all: at least the half as much again that makes it worth knowing.
        Expectation("async_loop_per_request", "cpu_per_request", of="async_one_loop", at_least=1.5),
        # Little's law, for all who share rightly; 15 % is left for the stacks.
        Expectation("async_one_loop", "throughput", of="ceiling", at_least=0.85),
        Expectation(sync, "throughput", of="async_one_loop", between=(0.9, 1.1)),
    ],
)
