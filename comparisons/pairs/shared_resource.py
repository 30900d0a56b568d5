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

from comparisons.registry import NEAR, SAME, Comparison, Expectation, Variant
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
HALF = "A connection serves one request, fails the next and is dropped: of half, half is asked."
OWN = "What each loop has opened itself works, and so does what is made for threads."
RIGHT = ("async_loop_per_request", "async_one_loop", sync)
FOR_EACH = (
    "A client, a connection, a thread and a loop for each request; half as much again is asked."
)
LITTLE = "By Little's law: who shares rightly waits for nothing but the upstream."
comparison = Comparison(
    users=6,
    variants=[
        Variant(sync, "wsgi-threads", **WAITS),
        Variant(async_shared_client, "wsgi-threads", pitfall=True, may_fail=True),
        Variant(async_per_loop, "wsgi-threads", name="async_loop_per_request", **WAITS),
        Variant(async_per_loop, "asgi-uvicorn", name="async_one_loop", **WAITS),
    ],
    expectations=[
        Expectation(async_shared_client, "failures", at_least=0.25, why=HALF),
        Expectation(RIGHT, "failures", at_most=0, why=OWN),
        Expectation(
            "async_loop_per_request",
            "cpu_per_request",
            of="async_one_loop",
            at_least=1.5,
            why=FOR_EACH,
        ),
        Expectation("async_one_loop", "throughput", of="ceiling", at_least=NEAR, why=LITTLE),
        Expectation(sync, "throughput", of="async_one_loop", between=SAME, users=6, why=LITTLE),
    ],
)
