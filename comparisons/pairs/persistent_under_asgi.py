"""Persistent connections under ASGI.

Claim: under ASGI, `CONN_MAX_AGE` keeps connections that nobody will ever use again: every request
    opens one and leaves it behind.
Blocks: nothing, until Postgres has no connection left to give. A persistent connection belongs to
    its thread, and Django's ASGI handler gives every request a thread of its own. With the thread
    goes the only one who could use the connection, and nobody closes it: it stays until Python's
    cyclic garbage collector happens to come by.
Instead: a pool, Django's (`OPTIONS["pool"]`, which refuses CONN_MAX_AGE) or psycopg's; at least
    `CONN_MAX_AGE = 0`, and every request pays for its connection. Under WSGI threads live on, and
    persistent connections are what they promise.
"""

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_pool

WAIT = 0.03
SQL = "SELECT pg_sleep(%s)"
# The leak is kept to a role's limit (migration 0003), or it would take the other servers' share.
LIMITED = {"DATABASE_ROLE": "comparisons_limited_{row}"}
LIMIT = 10


def sync(request: HttpRequest) -> JsonResponse:
    query()
    return JsonResponse({"slept": WAIT})


async def async_persistent(request: HttpRequest) -> JsonResponse:
    await sync_to_async(query)()  # pitfall with CONN_MAX_AGE: its thread ends with the request
    return JsonResponse({"slept": WAIT})


async def async_orm(request: HttpRequest) -> JsonResponse:
    await sync_to_async(query)()
    return JsonResponse({"slept": WAIT})


async def async_native(request: HttpRequest) -> JsonResponse:
    pool = await async_pool()
    async with pool.connection() as of_pool:
        await of_pool.execute(SQL, [WAIT])
    return JsonResponse({"slept": WAIT})


def query() -> None:
    """In whatever thread it runs, through the connection that Django has for that thread."""
    with connection.cursor() as cursor:
        cursor.execute(SQL, [WAIT])


comparison = Comparison(
    users=4,
    variants=[
        Variant(sync, "wsgi-threads", wait=WAIT),
        Variant(
            async_persistent,
            "asgi-uvicorn",
            pitfall=True,
            may_fail=True,
            database="persistent",
            environ=LIMITED,
        ),
        Variant(async_orm, "asgi-uvicorn", name="async_per_request", wait=WAIT, database="none"),
        Variant(async_orm, "asgi-uvicorn", name="async_django_pool", wait=WAIT, database="pool"),
        Variant(async_native, "asgi-uvicorn", wait=WAIT),
    ],
    expectations=[
        # A user has the connection of this request, and that of the last for as long as the server
        # takes to close it or to put it back: two at most. A leak knows no such bound but the
        # limit, and soon nothing works until the garbage collector comes.
        Expectation(async_persistent, "connections", at_least=LIMIT),
        Expectation(async_persistent, "failures", at_least=0.1),
        Expectation("async_per_request", "connections", at_most=lambda users: 2 * users),
        Expectation("async_django_pool", "connections", at_most=lambda users: 2 * users),
        Expectation(async_native, "connections", at_most=lambda users: 2 * users),
        # Under WSGI a thread keeps its own, and there are no more than the server's threads.
        Expectation(sync, "connections", at_most=20),
    ],
)
