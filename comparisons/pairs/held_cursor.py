"""A cursor that is held behind PgBouncer.

Claim: a cursor that is held open beyond its transaction does not survive in PgBouncer's transaction
    mode: the next batch may be fetched on another connection, which has no such cursor, and fails.
Blocks: nothing blocks. Between two transactions PgBouncer hands the connection on.
Instead: a cursor inside of one transaction, which stays on one connection. `QuerySet.iterator()`
    opens cursors outside of transactions: `DISABLE_SERVER_SIDE_CURSORS` makes it fetch all rows.
"""

from itertools import count

import psycopg
from django.http import HttpRequest, JsonResponse

from comparisons.models import Invoice
from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_pool

ROWS, BATCH = 400, 100
SQL = "SELECT amount_cents FROM comparisons_invoice ORDER BY id LIMIT %s"
CENTS = Invoice.objects.order_by("id").values_list("amount_cents", flat=True)
NUMBERS = count()  # a held cursor belongs to the session: each needs a name of its own
FEW = {"POOL_SIZE": "4"}


def sync(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"cents": sum(CENTS[:ROWS].iterator(chunk_size=BATCH))})


async def async_held_cursor(request: HttpRequest) -> JsonResponse:
    cents, name = 0, f"invoices_{next(NUMBERS)}"
    pool = await async_pool()
    try:
        async with (
            pool.connection() as conn,
            conn.cursor(name, withhold=True) as cursor,
        ):  # pitfall: held
            await cursor.execute(SQL, [ROWS])
            while batch := await cursor.fetchmany(BATCH):
                cents += sum(value for (value,) in batch)
    except psycopg.Error as error:
        return JsonResponse({"error": str(error)}, status=503)
    return JsonResponse({"cents": cents})


async def async_native(request: HttpRequest) -> JsonResponse:
    cents = 0
    pool = await async_pool()
    async with pool.connection() as conn, conn.transaction(), conn.cursor("invoices") as cursor:
        await cursor.execute(SQL, [ROWS])
        while batch := await cursor.fetchmany(BATCH):
            cents += sum(value for (value,) in batch)
    return JsonResponse({"cents": cents})


LOST = "Eight users share four connections, which change hands between two batches: many fail."
NONE = "All batches come from one transaction, or in one answer: no other connection is asked."
comparison = Comparison(
    users=8,
    variants=[
        Variant(sync, "wsgi-threads", database="pgbouncer", environ=FEW, may_fail=True),
        Variant(
            async_held_cursor,
            "asgi-uvicorn",
            database="pgbouncer",
            environ=FEW,
            pitfall=True,
            may_fail=True,
        ),
        Variant(async_native, "asgi-uvicorn", database="pgbouncer", environ=FEW, may_fail=True),
    ],
    expectations=[
        Expectation(async_held_cursor, "failures", at_least=0.1, users=8, why=LOST),
        Expectation((sync, async_native), "failures", at_most=0, why=NONE),
    ],
)
