"""Connections that threads keep.

Claim: `sync_to_async(…, thread_sensitive=False)` runs queries at once, each on the connection of a
    thread that lives on, and nobody closes it; once such threads hold all of a pool, views fail.
Blocks: nothing blocks the loop. The threads of its executor never hear that a request has ended,
    and Django closes connections, or gives them back to a pool, only in the thread that does.
Instead: the function that queries closes its thread's connection itself, in threads of sync code
    too; or psycopg's pool, which needs no threads (`gathered-queries`).
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant

COUNT, WAIT, SQL = 5, 0.025, "SELECT pg_sleep(%s)"
# Fewer connections than any executor has threads: min(32, cores + 4).
SMALL_POOL = {"POOL_SIZE": "2", "POOL_TIMEOUT": "0.2"}
SMALL: dict[str, Any] = {"database": "pool", "environ": SMALL_POOL, "may_fail": True}


def query(number: int) -> int:
    """Query through Django's connection of the calling thread."""
    with connection.cursor() as cursor:
        cursor.execute(SQL, [WAIT])
    return number


def query_and_close(number: int) -> int:
    try:
        return query(number)
    finally:
        connection.close()  # back to the pool, if there is one


def sync_threads(request: HttpRequest) -> JsonResponse:
    with ThreadPoolExecutor(COUNT) as threads:
        answers = list(threads.map(query_and_close, range(COUNT)))
    return JsonResponse({"answers": answers})


async def async_leaking(request: HttpRequest) -> JsonResponse:
    in_thread = sync_to_async(query, thread_sensitive=False)  # pitfall: nobody closes
    answers = await asyncio.gather(*map(in_thread, range(COUNT)))
    return JsonResponse({"answers": answers})


async def async_closing(request: HttpRequest) -> JsonResponse:
    in_thread = sync_to_async(query_and_close, thread_sensitive=False)
    answers = await asyncio.gather(*map(in_thread, range(COUNT)))
    return JsonResponse({"answers": answers})


STARVED = (
    "Three threads or more never get a connection and fail 5 queries a second each, at most COUNT "
    "of one request; two that have one answer 2 / (COUNT * WAIT) requests at most: 3 of 19 fail."
)
FREED = "Of ten queries at once eight wait for two connections: four WAITs, half of POOL_TIMEOUT."
comparison = Comparison(
    users=2,
    variants=[
        Variant(sync_threads, "wsgi-threads", **SMALL),
        Variant(async_leaking, "asgi-uvicorn", pitfall=True, **SMALL),
        Variant(async_closing, "asgi-uvicorn", **SMALL),
    ],
    expectations=[
        Expectation(async_leaking, "failures", at_least=0.15, users=2, why=STARVED),
        Expectation((sync_threads, async_closing), "failures", at_most=0, users=2, why=FREED),
    ],
)
