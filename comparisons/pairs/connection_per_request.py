"""What connecting costs.

Claim: a connection is dear: to connect for every request takes several times as long as to ask over
    a connection that is there already, and the more the further away Postgres is.
Blocks: nothing but the request, which waits for a handshake of TCP, for a new process of Postgres,
    and for both sides to prove that they know the password: a round trip each, or two.
Instead: keep connections. Under WSGI a thread can keep its own (`CONN_MAX_AGE`); everywhere a pool
    can, Django's (`OPTIONS["pool"]`) or psycopg's. A null pool only bounds how many there are: it
    keeps none for which nobody waits, as in front of PgBouncer, which keeps them itself.
"""

from functools import cache

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, JsonResponse
from psycopg_pool import NullConnectionPool

from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_pool

SQL = "SELECT 1"
FAR = 5  # ms


def sync(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"answer": query()})


def sync_null_pool(request: HttpRequest) -> JsonResponse:
    with null_pool().connection() as of_pool:
        row = of_pool.execute(SQL).fetchone()
    return JsonResponse({"answer": row and row[0]})


async def async_new(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"answer": await sync_to_async(query)()})  # pitfall: connects, without pool


async def async_django_pool(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"answer": await sync_to_async(query)()})


async def async_native(request: HttpRequest) -> JsonResponse:
    pool = await async_pool()
    async with pool.connection() as of_pool:
        cursor = await of_pool.execute(SQL)
        row = await cursor.fetchone()
    return JsonResponse({"answer": row and row[0]})


def query() -> int:
    """In whatever thread it runs, through the connection that Django has for that thread."""
    with connection.cursor() as cursor:
        cursor.execute(SQL)
        answer: int = cursor.fetchone()[0]
        return answer


@cache
def null_pool() -> NullConnectionPool:
    return NullConnectionPool(
        kwargs={**connection.get_connection_params(), "autocommit": True},
        max_size=settings.POOL_SIZE,
        open=True,
    )


comparison = Comparison(
    users=2,
    round_trip=(0, FAR),
    variants=[
        Variant(sync, "wsgi-threads", name="sync_new", database="none"),
        Variant(sync, "wsgi-threads", name="sync_persistent"),
        Variant(sync, "wsgi-threads", name="sync_pool", database="pool"),
        Variant(sync_null_pool, "wsgi-threads"),
        Variant(async_new, "asgi-uvicorn", database="none", pitfall=True),
        Variant(async_django_pool, "asgi-uvicorn"),
        Variant(async_native, "asgi-uvicorn"),
    ],
    expectations=[
        # Nearby the round trips are nothing, but a process is started and ended, and the password
        # is hashed thousands of times on both sides: milliseconds beside a query's fraction of one.
        Expectation("sync_new", "latency", of="sync_persistent", at_least=1.5, round_trip=0),
        Expectation(async_new, "latency", of=async_django_pool, at_least=1.5, round_trip=0),
        # TCP's handshake, the start of the session and the query are three round trips or more
        # against one. A third of that is left for what both cost besides.
        Expectation("sync_new", "latency", of="sync_persistent", at_least=2, round_trip=FAR),
        Expectation(async_new, "latency", of=async_django_pool, at_least=2, round_trip=FAR),
        # A null pool connects as well while nobody waits for what another gives back.
        Expectation(sync_null_pool, "latency", of="sync_persistent", at_least=2, round_trip=FAR),
        # A connection that is there is one round trip away, whoever has kept it.
        Expectation(
            "sync_pool", "latency", of="sync_persistent", between=(0.8, 1.25), round_trip=FAR
        ),
        # Without threads it is no slower, but for the noise.
        Expectation(async_native, "latency", of=async_django_pool, at_most=1.25, round_trip=FAR),
    ],
)
