"""Prepared statements behind PgBouncer.

Claim: a statement that is prepared does not survive in PgBouncer's transaction mode: the next
    transaction may run on another connection, which knows nothing of it, and fails.
Blocks: nothing blocks. psycopg prepares a statement that it sees a fifth time on a connection, and
    from then on sends its name alone.
Instead: no prepared statements (`prepare_threshold = None`), which is what Django sets without
    being asked; or PgBouncer 1.21, with `max_prepared_statements`.
"""

import psycopg
from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_pool, pool

ROWS, BATCH = 400, 100
SQL = "SELECT amount_cents FROM comparisons_invoice ORDER BY id LIMIT %s OFFSET %s"
FEW = {"POOL_SIZE": "4"}


def sync(request: HttpRequest) -> JsonResponse:
    cents = 0
    with pool().connection() as conn:
        conn.prepare_threshold = None
        for offset in range(0, ROWS, BATCH):
            rows = conn.execute(SQL, [BATCH, offset]).fetchall()
            cents += sum(value for (value,) in rows)
    return JsonResponse({"cents": cents})


async def async_prepared(request: HttpRequest) -> JsonResponse:
    cents = 0
    pool = await async_pool()
    try:
        async with pool.connection() as conn:
            conn.prepare_threshold = 0  # pitfall: at first sight; psycopg's default is the fifth
            for offset in range(0, ROWS, BATCH):
                cursor = await conn.execute(SQL, [BATCH, offset])
                cents += sum(value for (value,) in await cursor.fetchall())
    except psycopg.Error as error:
        return JsonResponse({"error": str(error)}, status=503)
    return JsonResponse({"cents": cents})


async def async_unprepared(request: HttpRequest) -> JsonResponse:
    cents = 0
    pool = await async_pool()
    async with pool.connection() as conn:
        conn.prepare_threshold = None
        for offset in range(0, ROWS, BATCH):
            cursor = await conn.execute(SQL, [BATCH, offset])
            cents += sum(value for (value,) in await cursor.fetchall())
    return JsonResponse({"cents": cents})


LOST = "Eight users share four connections, which change hands between two batches: many fail."
NONE = "Each batch says all that it asks, and so any connection answers it."
comparison = Comparison(
    users=8,
    variants=[
        Variant(sync, "wsgi-threads", database="pgbouncer", environ=FEW, may_fail=True),
        Variant(
            async_prepared,
            "asgi-uvicorn",
            database="pgbouncer",
            environ=FEW,
            pitfall=True,
            may_fail=True,
        ),
        Variant(async_unprepared, "asgi-uvicorn", database="pgbouncer", environ=FEW, may_fail=True),
    ],
    expectations=[
        Expectation(async_prepared, "failures", at_least=0.1, users=8, why=LOST),
        Expectation((sync, async_unprepared), "failures", at_most=0, why=NONE),
    ],
)
