"""Queries that are gathered.

Claim: `gather` over the ORM's calls makes nothing concurrent: a request has one thread and one
    connection, and its queries wait for each other there. As many connections as queries do.
Blocks: nothing blocks the loop; each query waits for the one before. With `thread_sensitive=False`
    they run in the threads of the loop's executor, which live on: these never hear that a request
    has ended, and none gives its connection back. Once they hold all of a pool, every view that
    needs one fails.
Instead: psycopg's pool, with a connection for each query. In threads, sync or async, the function
    itself closes what it has opened. Pipeline mode sends all queries at once on one connection: it
    saves round trips, but Postgres still answers one after another.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_pool

COUNT, WAIT = 5, 0.05
SUM = COUNT * WAIT
SQL = "SELECT pg_sleep(%s)"
FAR = 10  # ms
SMALL_POOL = {"POOL_SIZE": "4"}  # fewer than any executor has threads: min(32, cores + 4)
IMPATIENT = {"POOL_TIMEOUT": "0.2"}


def query(number: int) -> int:
    """In whatever thread it runs, through the connection that Django has for that thread."""
    with connection.cursor() as cursor:
        cursor.execute(SQL, [WAIT])
    return number


def query_and_close(number: int) -> int:
    try:
        return query(number)
    finally:
        connection.close()  # back to the pool, if there is one


async def async_query(number: int) -> int:
    pool = await async_pool()
    async with pool.connection() as of_pool:
        await of_pool.execute(SQL, [WAIT])
    return number


def sync(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"answers": [query(number) for number in range(COUNT)]})


def sync_threads(request: HttpRequest) -> JsonResponse:
    with ThreadPoolExecutor(COUNT) as threads:
        answers = list(threads.map(query_and_close, range(COUNT)))
    return JsonResponse({"answers": answers})


async def async_orm(request: HttpRequest) -> JsonResponse:
    queries = (sync_to_async(query)(number) for number in range(COUNT))  # pitfall: one thread
    return JsonResponse({"answers": await asyncio.gather(*queries)})


async def async_leaking(request: HttpRequest) -> JsonResponse:
    in_thread = sync_to_async(query, thread_sensitive=False)  # pitfall: nobody closes
    answers = await asyncio.gather(*(in_thread(number) for number in range(COUNT)))
    return JsonResponse({"answers": answers})


async def async_closing(request: HttpRequest) -> JsonResponse:
    in_thread = sync_to_async(query_and_close, thread_sensitive=False)
    answers = await asyncio.gather(*(in_thread(number) for number in range(COUNT)))
    return JsonResponse({"answers": answers})


async def async_native(request: HttpRequest) -> JsonResponse:
    answers = await asyncio.gather(*(async_query(number) for number in range(COUNT)))
    return JsonResponse({"answers": answers})


async def async_pipeline(request: HttpRequest) -> JsonResponse:
    pool = await async_pool()
    async with pool.connection() as of_pool, of_pool.pipeline():
        for _ in range(COUNT):
            await of_pool.execute(SQL, [WAIT])  # queued: nothing waits for its answer yet
    return JsonResponse({"answers": list(range(COUNT))})


comparison = Comparison(
    users=4,
    round_trip=FAR,
    variants=[
        Variant(sync, "wsgi-threads", wait=SUM),
        Variant(sync_threads, "wsgi-threads", wait=WAIT, database="pool"),
        Variant(async_orm, "asgi-uvicorn", wait=SUM, pitfall=True),
        Variant(
            async_leaking,
            "asgi-uvicorn",
            pitfall=True,
            may_fail=True,
            environ=SMALL_POOL | IMPATIENT,
        ),
        Variant(async_closing, "asgi-uvicorn", may_fail=True, environ=SMALL_POOL),
        Variant(async_native, "asgi-uvicorn", wait=WAIT),
        Variant(async_pipeline, "asgi-uvicorn", wait=SUM),
    ],
    expectations=[
        # One after another, gathered or not: the sum of the queries is the least.
        Expectation(async_orm, "latency", of="wait", at_least=1),
        Expectation(async_orm, "latency", of=sync, between=(0.9, 1.1)),
        # COUNT times WAIT and FAR against both once: a factor of COUNT. Half of it is left for what
        # so many queries at once cost.
        Expectation(async_native, "latency", of=async_orm, at_most=2 / COUNT),
        # Threads of one's own do the same; a fifth is left for starting them.
        Expectation(sync_threads, "latency", of=async_native, between=(0.8, 1.25)),
        # One round trip instead of COUNT, but the sum of the queries.
        Expectation(async_pipeline, "latency", of="wait", at_least=1),
        Expectation(async_pipeline, "latency", of=async_orm, at_most=0.95),
        # One thread or more is left without a connection for ever, and what it is given fails after
        # POOL_TIMEOUT: five a second. The four that have one answer 4 / SUM, sixteen, at most.
        Expectation(async_leaking, "failures", at_least=0.2),
        Expectation(async_closing, "failures", at_most=0),
    ],
)
