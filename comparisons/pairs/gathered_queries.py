"""Queries that are gathered.

Claim: `gather` over the ORM's calls makes nothing concurrent: a request has one thread and one
    connection, and its queries wait for each other there. As many connections as queries do.
Blocks: nothing blocks the loop; each query waits for the one before.
Instead: a connection for each query, from psycopg's pools, on the event loop or in threads.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, JsonResponse

from comparisons.registry import SAME, Comparison, Expectation, Variant
from comparisons.resources import async_pool, pool

COUNT, WAIT, FAR = 5, 0.05, 10  # queries, seconds of each, ms away
SUM, SQL = COUNT * WAIT, "SELECT pg_sleep(%s)"


def query(number: int) -> int:
    """Query through Django's connection of the calling thread."""
    with connection.cursor() as cursor:
        cursor.execute(SQL, [WAIT])
    return number


def pooled_query(number: int) -> int:
    with pool().connection() as conn:
        conn.execute(SQL, [WAIT])
    return number


async def async_query(number: int) -> int:
    async with (await async_pool()).connection() as conn:
        await conn.execute(SQL, [WAIT])
    return number


def sync(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"answers": [query(number) for number in range(COUNT)]})


def sync_threads(request: HttpRequest) -> JsonResponse:
    with ThreadPoolExecutor(COUNT) as threads:
        answers = list(threads.map(pooled_query, range(COUNT)))
    return JsonResponse({"answers": answers})


async def async_orm(request: HttpRequest) -> JsonResponse:
    queries = (sync_to_async(query)(number) for number in range(COUNT))  # pitfall: one thread
    return JsonResponse({"answers": await asyncio.gather(*queries)})


async def async_native(request: HttpRequest) -> JsonResponse:
    queries = (async_query(number) for number in range(COUNT))
    return JsonResponse({"answers": await asyncio.gather(*queries)})


ONE = "Gathered or not, a request's queries share its thread and connection: the sum of them."
ALL = "COUNT times WAIT and FAR against both once; as much again is for so many queries at once."
THREADS = "A thread for each query waits as a task for each does, all at once."
comparison = Comparison(
    users=4,
    round_trip=FAR,
    variants=[
        Variant(sync, "wsgi-threads", wait=SUM),
        Variant(sync_threads, "wsgi-threads", wait=WAIT),
        Variant(async_orm, "asgi-uvicorn", pitfall=True),
        Variant(async_native, "asgi-uvicorn", wait=WAIT),
    ],
    expectations=[
        Expectation(sync, "latency", of=async_orm, between=SAME, why=ONE),
        Expectation(async_native, "latency", of=async_orm, at_most=2 / COUNT, users=4, why=ALL),
        Expectation(sync_threads, "latency", of=async_native, between=SAME, users=4, why=THREADS),
    ],
)
