"""What connecting costs.

Claim: a connection is dear: to connect for every request takes several times as long as to ask over
    a connection that is there already, and the more the further away Postgres is.
Blocks: nothing but the request, which waits for TCP's handshake, for a new process of Postgres, and
    for both sides to prove that they know the password.
Instead: keep connections: under WSGI a thread keeps its own (`CONN_MAX_AGE`), everywhere a pool
    does. A null pool only bounds how many there are, for use with PgBouncer, which keeps them.
"""

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_pool, null_pool

SQL, FAR = "SELECT 1", 5  # ms


def query() -> int:
    """Query through Django's connection of the calling thread."""
    with connection.cursor() as cursor:
        cursor.execute(SQL)
        ((answer,),) = cursor.fetchall()
    return int(answer)


def sync(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"answer": query()})


def sync_null_pool(request: HttpRequest) -> JsonResponse:
    with null_pool().connection() as conn:
        ((answer,),) = conn.execute(SQL).fetchall()
    return JsonResponse({"answer": answer})


async def async_threads(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"answer": await sync_to_async(query)()})


async def async_native(request: HttpRequest) -> JsonResponse:
    pool = await async_pool()
    async with pool.connection() as conn:
        cursor = await conn.execute(SQL)
        ((answer,),) = await cursor.fetchall()
    return JsonResponse({"answer": answer})


KEPT, POOLED = "sync_persistent", "async_django_pool"
NEARBY = (
    "For each request Postgres starts a process and both sides hash the password: milliseconds."
)
THREE = "Connecting and asking take three round trips or more, asking one; a third is for the rest."
ONE = "A kept connection is one round trip away, whoever keeps it; a second would add a half."
comparison = Comparison(
    users=2,
    round_trip=(0, FAR),
    variants=[
        Variant(sync, "wsgi-threads", name="sync_new", database="none"),
        Variant(sync, "wsgi-threads", name="sync_persistent"),
        Variant(sync, "wsgi-threads", name="sync_pool", database="pool"),
        Variant(sync_null_pool, "wsgi-threads"),
        Variant(  # pitfall: every request connects
            async_threads, "asgi-uvicorn", name="async_new", database="none", pitfall=True
        ),
        Variant(async_threads, "asgi-uvicorn", name="async_django_pool", database="pool"),
        Variant(async_native, "asgi-uvicorn"),
    ],
    expectations=[
        Expectation("sync_new", "latency", of=KEPT, at_least=1.5, round_trip=0, why=NEARBY),
        Expectation("async_new", "latency", of=POOLED, at_least=1.5, round_trip=0, why=NEARBY),
        Expectation("sync_new", "latency", of=KEPT, at_least=2, round_trip=FAR, why=THREE),
        Expectation(sync_null_pool, "latency", of=KEPT, at_least=2, round_trip=FAR, why=THREE),
        Expectation("async_new", "latency", of=POOLED, at_least=2, round_trip=FAR, why=THREE),
        Expectation("sync_pool", "latency", of=KEPT, at_most=1.5, round_trip=FAR, why=ONE),
        Expectation(async_native, "latency", of=POOLED, at_most=1.5, round_trip=FAR, why=ONE),
    ],
)
