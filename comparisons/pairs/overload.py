"""More requests than the server can serve.

Claim: at 1.5 times what it can do, a server that takes every request serves all of them later and
    later; one with a limit refuses a third at once, and serves the others as quickly as ever.
Blocks: nothing. The queue grows as long as the load lasts: in the process, for a connection; under
    WSGI for a thread too, and then in the kernel's backlog.
Instead: a limit a little above what is served at once: uvicorn's `--limit-concurrency`, or a view
    that counts.
"""

from threading import BoundedSemaphore
from typing import Any

from django.http import HttpRequest, JsonResponse

from comparisons.registry import NEAR, Comparison, Expectation, Variant
from comparisons.resources import async_pool, pool

WAIT, SQL = 0.05, "SELECT pg_sleep(%s)"
CONNECTIONS, LIMIT = 5, 10  # that serve; requests that are let in
CAPACITY = CONNECTIONS / WAIT  # requests a second
RATE = 1.5 * CAPACITY
places = BoundedSemaphore(LIMIT)


def sync(request: HttpRequest) -> JsonResponse:
    with pool().connection() as conn:  # pitfall: whoever comes waits for one
        conn.execute(SQL, [WAIT])
    return JsonResponse({"slept": WAIT})


def sync_limited(request: HttpRequest) -> JsonResponse:
    if not places.acquire(blocking=False):
        return JsonResponse({"error": "too many requests"}, status=503)
    try:
        return sync(request)
    finally:
        places.release()


async def async_native(request: HttpRequest) -> JsonResponse:
    pool = await async_pool()
    async with pool.connection() as conn:
        await conn.execute(SQL, [WAIT])
    return JsonResponse({"slept": WAIT})


SMALL = {"POOL_SIZE": str(CONNECTIONS)}
LIMITED = SMALL | {"UVICORN_LIMIT_CONCURRENCY": str(LIMIT)}
FIVE: dict[str, Any] = {"wait": WAIT, "slots": CONNECTIONS}
LIMITS = (sync_limited, "async_limited")
GROWS = "By what comes and cannot be served, RATE - CAPACITY; half is left for the window's ends."
THIRD = "CAPACITY is two thirds of RATE; what the queue takes in at first is some of a window."
SHORT = "Little's law: LIMIT requests, of which CAPACITY are served, take 2 * WAIT; twice is left."
BUSY = "Who waits behind makes no connection any faster: they are busy, with a limit or without."
comparison = Comparison(
    rate=RATE,
    variants=[
        Variant(sync, "wsgi-threads", environ=SMALL, pitfall=True, **FIVE),
        Variant(sync_limited, "wsgi-threads", threads=40, environ=SMALL, may_fail=True, **FIVE),
        Variant(
            async_native, "asgi-uvicorn", environ=SMALL, pitfall=True, **FIVE
        ),  # pitfall: alike
        Variant(
            async_native, "asgi-uvicorn", name=LIMITS[1], environ=LIMITED, may_fail=True, **FIVE
        ),
    ],
    expectations=[
        Expectation((sync, async_native), "backlog_growth", at_least=0.25 * CAPACITY, why=GROWS),
        Expectation(LIMITS, "failures", between=(0.2, 0.45), why=THIRD),
        Expectation(LIMITS, "latency_p99", at_most=4_000 * WAIT, why=SHORT),
        Expectation(LIMITS, "throughput", of="ceiling", at_least=NEAR, why=BUSY),
    ],
)
