"""Clients who leave.

Claim: when its client leaves, an async view is cancelled at its await, and psycopg cancels its
    query; threads, sync views and their queries go on for nobody, and hold their connections.
Blocks: nothing, until all threads or all connections of the pool work for clients who have left.
Instead: a native query. What must not stop half-way goes into `shield`, and goes on like a thread;
    what must be tidied up stands in `finally`, which a cancelled view runs too.
"""

import asyncio

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, JsonResponse

from comparisons.registry import Client, Comparison, Expectation, Variant
from comparisons.resources import async_pool

WAIT, SQL = 0.4, "SELECT pg_sleep(%s)"
LEAVING = Client(leaves_after=0.05)
POOL = 20  # connections, and threads


def query() -> None:
    """Query through Django's connection of the calling thread."""
    with connection.cursor() as cursor:
        cursor.execute(SQL, [WAIT])


async def async_query() -> None:
    pool = await async_pool()
    async with pool.connection() as conn:
        await conn.execute(SQL, [WAIT])


def sync(request: HttpRequest) -> JsonResponse:
    query()
    return JsonResponse({"slept": WAIT})


async def async_orm(request: HttpRequest) -> JsonResponse:
    await sync_to_async(query)()  # pitfall: goes on in its thread
    return JsonResponse({"slept": WAIT})


async def async_native(request: HttpRequest) -> JsonResponse:
    await async_query()
    return JsonResponse({"slept": WAIT})


async def async_shielded(request: HttpRequest) -> JsonResponse:
    await asyncio.shield(async_query())
    return JsonResponse({"slept": WAIT})


GOING_ON = (sync, async_orm, async_shielded)
PILE = (
    "Each user starts a query every 0.05 s, which takes eight times that: a window lasts for five."
)
ENDED = "A user's query of this request, and that of the last, which Postgres is told to cancel."
ALL = "A pool lends no more than it has; threads keep one each."
FREE = "The loop only hears who comes and who leaves."
comparison = Comparison(
    users=4,
    variants=[
        Variant(sync, "wsgi-threads", threads=POOL, client=LEAVING),
        Variant(async_orm, "asgi-uvicorn", client=LEAVING, pitfall=True),
        Variant(async_native, "asgi-uvicorn", client=LEAVING),
        Variant(async_shielded, "asgi-uvicorn", client=LEAVING),
    ],
    expectations=[
        Expectation(GOING_ON, "queries", at_least=lambda users: 3 * users, why=PILE),
        Expectation(async_native, "queries", at_most=lambda users: 2 * users, why=ENDED),
        Expectation(GOING_ON, "connections", at_most=POOL, why=ALL),
        Expectation(async_native, "bystander", at_most=10, why=FREE),
    ],
)
