"""A connection for each thread.

Claim: each thread opens a database connection of its own and holds it until it is done, so the
    connection limit is reached fast; a pool prevents it.
Blocks: nothing blocks. Postgres refuses the connection after the last that the role may have, and
    the request fails, though a moment's wait would have been enough.
Instead: a pool that is smaller than the limit: Django's own (`OPTIONS["pool"]`) for whatever goes
    through Django's connections, psycopg's for async code. Who finds no connection free waits.
"""

import psycopg
from asgiref.sync import sync_to_async
from django.db import OperationalError, connection
from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_pool

WAIT = 0.1
SQL = "SELECT pg_sleep(%s)"
LIMIT, POOL = 10, 8  # two are left for whoever else logs in as the role
# Migration 0003 makes the roles, where DATABASE_URL's may; {row}: every server has its own.
LIMITED = {"DATABASE_ROLE": "comparisons_limited_{row}", "POOL_SIZE": str(POOL)}


WITHOUT_POOL = ("sync_threads", "sync_persistent", "async_threads")
WITH_POOL = ("sync_pool", "async_django_pool", "async_native")


def sync(request: HttpRequest) -> JsonResponse:
    try:
        query()
    except OperationalError as error:
        return JsonResponse({"error": str(error)}, status=503)
    return JsonResponse({"slept": WAIT})


async def async_threads(request: HttpRequest) -> JsonResponse:
    try:
        await sync_to_async(query)()  # pitfall without a pool: a connection for every request
    except OperationalError as error:
        return JsonResponse({"error": str(error)}, status=503)
    return JsonResponse({"slept": WAIT})


async def async_django_pool(request: HttpRequest) -> JsonResponse:
    try:
        await sync_to_async(query)()
    except OperationalError as error:
        return JsonResponse({"error": str(error)}, status=503)
    return JsonResponse({"slept": WAIT})


async def async_native(request: HttpRequest) -> JsonResponse:
    try:
        pool = await async_pool()
        async with pool.connection() as of_pool:
            await of_pool.execute(SQL, [WAIT])
    except psycopg.OperationalError as error:
        return JsonResponse({"error": str(error)}, status=503)
    return JsonResponse({"slept": WAIT})


def query() -> None:
    """In whatever thread it runs, through the connection that Django has for that thread."""
    with connection.cursor() as cursor:
        cursor.execute(SQL, [WAIT])


comparison = Comparison(
    users=(4, LIMIT, 2 * LIMIT),
    variants=[
        Variant(
            sync,
            "wsgi-threads",
            name="sync_threads",
            database="none",
            environ=LIMITED,
            may_fail=True,
        ),
        Variant(
            sync,
            "wsgi-threads",
            name="sync_persistent",
            database="persistent",
            environ=LIMITED,
            may_fail=True,
        ),
        Variant(
            sync,
            "wsgi-threads",
            name="sync_pool",
            wait=WAIT,
            slots=POOL,
            database="pool",
            environ=LIMITED,
            may_fail=True,
        ),
        Variant(
            async_threads,
            "asgi-uvicorn",
            pitfall=True,
            database="none",
            environ=LIMITED,
            may_fail=True,
        ),
        Variant(
            async_django_pool,
            "asgi-uvicorn",
            wait=WAIT,
            slots=POOL,
            environ=LIMITED,
            may_fail=True,
        ),
        Variant(
            async_native,
            "asgi-uvicorn",
            wait=WAIT,
            slots=POOL,
            environ=LIMITED,
            may_fail=True,
        ),
    ],
    expectations=[
        # Below the limit all is well: a user has one connection, and one that is being closed.
        *(Expectation(name, "failures", at_most=0, users=4) for name in WITHOUT_POOL),
        # Above it, LIMIT of the users wait for their query while the others are refused, sooner
        # than a query ends, and ask again: that share of the answers or more.
        *(
            Expectation(name, "failures", at_least=lambda users: 1 - LIMIT / users, users=2 * LIMIT)
            for name in WITHOUT_POOL
        ),
        # Who waits for a connection of the pool does not fail,
        *(Expectation(name, "failures", at_most=0, users=2 * LIMIT) for name in WITH_POOL),
        # the pool takes no more than it may,
        *(Expectation(name, "connections", at_most=POOL, users=2 * LIMIT) for name in WITH_POOL),
        # and everyone waits for users / POOL queries, Little's law. A fifth is left for Django, and
        # for handing a connection on.
        *(
            Expectation(
                name,
                "latency",
                of="wait",
                at_most=lambda users: 1.2 * users / POOL,
                users=2 * LIMIT,
            )
            for name in WITH_POOL
        ),
    ],
)
