"""A PgBouncer that pools transactions.

Claim: PgBouncer in transaction mode lets many clients share few connections; what belongs to a
    session does not survive there: a statement that is prepared, a cursor that is held open.
Blocks: nothing blocks. Each transaction may be run by another of Postgres's processes, which knows
    nothing of a statement that was prepared, or a cursor that was opened, in the one before.
Instead: a cursor inside of one transaction, which stays where it is; no prepared statements (before
    PgBouncer 1.21), as Django does without asking. `QuerySet.iterator()` opens cursors outside of
    transactions: `DISABLE_SERVER_SIDE_CURSORS` makes it fetch all rows at once instead.
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
NUMBERS = count()  # with one name for all, a request would read another one's rows
POOL = 4
FEW = {"POOL_SIZE": str(POOL)}


def sync(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"cents": sum(CENTS[:ROWS].iterator(chunk_size=BATCH))})


async def async_prepared(request: HttpRequest) -> JsonResponse:
    pool = await async_pool()
    cents = 0
    try:
        async with pool.connection() as connection:
            connection.prepare_threshold = 0  # pitfall: 5 is psycopg's default, Django's is never
            for offset in range(0, ROWS, BATCH):
                cursor = await connection.execute(f"{SQL} OFFSET %s", [BATCH, offset])
                cents += sum([value async for (value,) in cursor])
    except psycopg.Error as error:
        return JsonResponse({"error": str(error)}, status=503)
    return JsonResponse({"cents": cents})


async def async_held_cursor(request: HttpRequest) -> JsonResponse:
    pool = await async_pool()
    cents = 0
    try:
        async with (
            pool.connection() as connection,
            connection.cursor(name=f"invoices_{next(NUMBERS)}", withhold=True) as cursor,  # pitfall
        ):
            await cursor.execute(SQL, [ROWS])
            while batch := await cursor.fetchmany(BATCH):
                cents += sum(value for (value,) in batch)
    except psycopg.Error as error:
        return JsonResponse({"error": str(error)}, status=503)
    return JsonResponse({"cents": cents})


async def async_native(request: HttpRequest) -> JsonResponse:
    pool = await async_pool()
    cents = 0
    async with (
        pool.connection() as connection,
        connection.transaction(),
        connection.cursor(name="invoices") as cursor,
    ):
        await cursor.execute(SQL, [ROWS])
        while batch := await cursor.fetchmany(BATCH):
            cents += sum(value for (value,) in batch)
    return JsonResponse({"cents": cents})


comparison = Comparison(
    users=8,
    variants=[
        Variant(sync, "wsgi-threads", database="pgbouncer", environ=FEW),
        Variant(
            async_prepared,
            "asgi-uvicorn",
            database="pgbouncer",
            environ=FEW,
            pitfall=True,
            may_fail=True,
        ),
        Variant(
            async_held_cursor,
            "asgi-uvicorn",
            database="pgbouncer",
            environ=FEW,
            pitfall=True,
            may_fail=True,
        ),
        Variant(async_native, "asgi-uvicorn", database="pgbouncer", environ=FEW),
        Variant(async_native, "asgi-uvicorn", name="async_own_pool", environ=FEW),
    ],
    expectations=[
        # Twice as many users as connections: now and then one is handed on between two batches,
        # and the next batch asks a process that knows nothing of it. How often is a matter of luck,
        # but not as good as never.
        Expectation(async_prepared, "failures", at_least=0.01),
        Expectation(async_held_cursor, "failures", at_least=0.01),
        # As many clients as ask, and no more connections than the pool has.
        Expectation(sync, "connections", at_most=POOL),
        Expectation(async_native, "connections", at_most=POOL),
        Expectation("async_own_pool", "connections", at_most=POOL),
        # A login at PgBouncer for each request, and a second hop: never quicker than a pool in the
        # process itself.
        Expectation(async_native, "throughput", of="async_own_pool", at_most=1),
    ],
)
