"""A connection for each thread.

Claim: each thread opens a database connection of its own and holds it until it is done, so the
    connection limit is reached fast; a pool prevents it.
Blocks: nothing blocks. Above the limit Postgres refuses the connection, and the request fails.
Instead: a pool that is smaller than the limit: Django's (`OPTIONS["pool"]`), with which the same
    view waits for a connection, or psycopg's for async code.
"""

from typing import Any

from asgiref.sync import sync_to_async
from django.db import OperationalError, connection
from django.http import HttpRequest, JsonResponse

from comparisons.limited_roles import LIMIT, ROLE
from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_pool

WAIT, SQL = 0.1, "SELECT pg_sleep(%s)"
POOL, CROWD = LIMIT - 2, 2 * LIMIT  # two are left for others who log in as the role
ENVIRON = {"DATABASE_ROLE": ROLE, "POOL_SIZE": str(POOL)}
LIMITED: dict[str, Any] = {"environ": ENVIRON, "may_fail": True}
POOLED = LIMITED | {"wait": WAIT, "slots": POOL}
WITHOUT_POOL = ("sync_threads", "sync_persistent", "async_threads")
WITH_POOL = ("sync_pool", "async_django_pool", "async_native")


def query() -> None:
    """Query through Django's connection of the calling thread."""
    with connection.cursor() as cursor:
        cursor.execute(SQL, [WAIT])


def sync(request: HttpRequest) -> JsonResponse:
    try:
        query()
    except OperationalError as error:
        return JsonResponse({"error": str(error)}, status=503)
    return JsonResponse({"slept": WAIT})


async def async_threads(request: HttpRequest) -> JsonResponse:
    try:
        await sync_to_async(query)()
    except OperationalError as error:
        return JsonResponse({"error": str(error)}, status=503)
    return JsonResponse({"slept": WAIT})


async def async_native(request: HttpRequest) -> JsonResponse:
    pool = await async_pool()
    async with pool.connection() as conn:
        await conn.execute(SQL, [WAIT])
    return JsonResponse({"slept": WAIT})


BELOW = "A user has one connection, and one that is being closed: fewer than the limit."
ABOVE = "The limit lets half of the users wait for a query; the rest fail sooner, and ask again."
NO_MORE = "A pool smaller than the limit opens no more than its size: the others wait, none fails."
LAW = "Everyone waits for 20 users / 8 connections queries (Little's law); a fifth is left over."
comparison = Comparison(
    users=(4, LIMIT, CROWD),
    variants=[
        Variant(sync, "wsgi-threads", name="sync_threads", database="none", **LIMITED),
        Variant(sync, "wsgi-threads", name="sync_persistent", database="persistent", **LIMITED),
        Variant(sync, "wsgi-threads", name="sync_pool", database="pool", **POOLED),
        Variant(async_threads, "asgi-uvicorn", database="none", pitfall=True, **LIMITED),  # pitfall
        Variant(async_threads, "asgi-uvicorn", name="async_django_pool", **POOLED),
        Variant(async_native, "asgi-uvicorn", **POOLED),
    ],
    expectations=[
        Expectation(WITHOUT_POOL, "failures", at_most=0, users=4, why=BELOW),
        Expectation(WITHOUT_POOL, "failures", at_least=1 - LIMIT / CROWD, users=CROWD, why=ABOVE),
        Expectation(WITH_POOL, "failures", at_most=0, users=CROWD, why=NO_MORE),
        Expectation(WITH_POOL, "connections", at_most=POOL, users=CROWD, why=NO_MORE),
        Expectation(WITH_POOL, "latency", of="wait", at_most=3, users=CROWD, why=LAW),
    ],
)
