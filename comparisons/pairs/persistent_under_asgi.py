"""Persistent connections under ASGI.

Claim: under ASGI, `CONN_MAX_AGE` keeps connections that nobody will ever use again: every request
    opens one and leaves it behind.
Blocks: nothing, until Postgres has no connection left to give. Django's ASGI handler gives every
    request a thread of its own; its connection outlives it, until the garbage collector comes by.
Instead: a pool, Django's (`OPTIONS["pool"]`, which refuses CONN_MAX_AGE) or psycopg's; at least
    `CONN_MAX_AGE = 0`. Under WSGI threads live on, and persistent connections keep their promise.
"""

from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, JsonResponse

from comparisons.limited_roles import LIMIT, ROLE
from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_pool

WAIT, SQL = 0.03, "SELECT pg_sleep(%s)"
# A role's limit keeps the leak from the other servers' connections. A pool stays below it.
THREADS = LIMIT - 2
ENVIRON = {"DATABASE_ROLE": ROLE, "POOL_SIZE": str(LIMIT)}
LIMITED: dict[str, Any] = {"wait": WAIT, "environ": ENVIRON, "may_fail": True}
LEAKING = LIMITED | {"database": "persistent", "wait": None}
REMEDIES = ("async_per_request", "async_django_pool", "async_native")


def query() -> None:
    """Query through Django's connection of the calling thread."""
    with connection.cursor() as cursor:
        cursor.execute(SQL, [WAIT])


def sync(request: HttpRequest) -> JsonResponse:
    query()
    return JsonResponse({"slept": WAIT})


async def async_orm(request: HttpRequest) -> JsonResponse:
    await sync_to_async(query)()
    return JsonResponse({"slept": WAIT})


async def async_native(request: HttpRequest) -> JsonResponse:
    pool = await async_pool()
    async with pool.connection() as conn:
        await conn.execute(SQL, [WAIT])
    return JsonResponse({"slept": WAIT})


LEAK = "Nobody closes the connections of threads that have ended, so only the limit stops them."
REFUSED = "At the limit requests fail until the garbage collector comes: more than a tenth of all."
TWO = "A user has the connection of this request, and that of the last while it is being closed."
OWN = "Under WSGI a thread keeps its own connection, and there are no more than its threads."
NONE = "Connections stay below the role's limit, and so Postgres refuses none."
comparison = Comparison(
    users=4,
    variants=[
        Variant(sync, "wsgi-threads", threads=THREADS, **LIMITED),
        Variant(  # pitfall: its thread ends with the request
            async_orm, "asgi-uvicorn", name="async_persistent", pitfall=True, **LEAKING
        ),
        Variant(async_orm, "asgi-uvicorn", name="async_per_request", database="none", **LIMITED),
        Variant(async_orm, "asgi-uvicorn", name="async_django_pool", database="pool", **LIMITED),
        Variant(async_native, "asgi-uvicorn", **LIMITED),
    ],
    expectations=[
        Expectation("async_persistent", "connections", at_least=LIMIT, why=LEAK),
        Expectation("async_persistent", "failures", at_least=0.1, why=REFUSED),
        Expectation(REMEDIES, "connections", at_most=lambda users: 2 * users, why=TWO),
        Expectation(sync, "connections", at_most=THREADS, why=OWN),
        Expectation((sync, *REMEDIES), "failures", at_most=0, users=4, why=NONE),
    ],
)
