"""A PgBouncer in front of Postgres.

Claim: PgBouncer in transaction mode lets many clients share few connections, at the price of a
    login for each request and of a second hop: a pool in the process itself is never slower.
Blocks: nothing blocks. A client waits until PgBouncer has a connection free for its transaction.
Instead: a pool in the process where there are few processes; PgBouncer where they are many, and
    their pools would be too much for Postgres. There transactions share connections, and what
    belongs to a session does not survive (`prepared-statements`, `held-cursor`).
"""

from django.db import connection
from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_pool

ROWS, POOL = 100, 4
SQL = "SELECT amount_cents FROM comparisons_invoice ORDER BY id LIMIT %s"
FEW = {"POOL_SIZE": str(POOL)}


def sync(request: HttpRequest) -> JsonResponse:
    with connection.cursor() as cursor:
        cursor.execute(SQL, [ROWS])
        rows = cursor.fetchall()
    return JsonResponse({"cents": sum(cents for (cents,) in rows)})


async def async_native(request: HttpRequest) -> JsonResponse:
    pool = await async_pool()
    async with pool.connection() as conn:
        cursor = await conn.execute(SQL, [ROWS])
        rows = await cursor.fetchall()
    return JsonResponse({"cents": sum(cents for (cents,) in rows)})


SHARED = "As many clients as ask share no more connections than the pool has."
HOP = "A login at PgBouncer for each request, and a second hop, can only take time."
comparison = Comparison(
    users=8,
    variants=[
        Variant(sync, "wsgi-threads", database="pgbouncer", environ=FEW),
        Variant(async_native, "asgi-uvicorn", database="pgbouncer", environ=FEW),
        Variant(async_native, "asgi-uvicorn", name="async_own_pool", environ=FEW),
    ],
    expectations=[
        Expectation(
            (sync, async_native, "async_own_pool"), "connections", at_most=POOL, why=SHARED
        ),
        Expectation(async_native, "throughput", of="async_own_pool", at_most=1, why=HOP),
    ],
)
