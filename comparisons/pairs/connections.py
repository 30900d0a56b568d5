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


comparison = Comparison(
    users=(4, LIMIT, CROWD),
    variants=[
        Variant(sync, "wsgi-threads", name="sync_threads", database="none", **LIMITED),
        Variant(sync, "wsgi-threads", name="sync_persistent", database="persistent", **LIMITED),
        Variant(sync, "wsgi-threads", name="sync_pool", database="pool", **POOLED),
        Variant(  # pitfall: a connection for every request
            async_threads, "asgi-uvicorn", database="none", pitfall=True, **LIMITED
        ),
        Variant(async_threads, "asgi-uvicorn", name="async_django_pool", **POOLED),
        Variant(async_native, "asgi-uvicorn", **POOLED),
    ],
    expectations=[
        # Below the limit a user has one connection, and one that is being closed. Above it LIMIT
        # users wait for a query; the others are refused sooner, and ask again.
        Expectation(WITHOUT_POOL, "failures", at_most=0, users=4),
        Expectation(WITHOUT_POOL, "failures", at_least=lambda n: 1 - LIMIT / n, users=CROWD),
        # With a pool they wait instead, users / POOL queries (Little's law); a fifth is left.
        Expectation(WITH_POOL, "failures", at_most=0, users=CROWD),
        Expectation(WITH_POOL, "connections", at_most=POOL, users=CROWD),
        Expectation(WITH_POOL, "latency", of="wait", at_most=lambda n: 1.2 * n / POOL, users=CROWD),
    ],
)
