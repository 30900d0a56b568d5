"""Reading many rows, in batches.

Claim: many rows are read in batches: the event loop is held for one batch at a time, the memory is
    that of a batch, and the rows come nearly as fast as all at once.
Blocks: `fetchall` makes an object of every value before anything else may run, and keeps them all.
Instead: a loop over a server-side cursor, sync or async, which fetches `itersize` rows at a time.
    How many are best is another question (`batch-size`).
"""

from zlib import crc32

from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_pool, pool

ROWS, BATCH = 20_000, 2_000
SQL = "SELECT id, amount_cents, note FROM comparisons_invoice ORDER BY id LIMIT %s"


def sync(request: HttpRequest) -> JsonResponse:
    digest = 0
    with pool().connection() as conn, conn.cursor() as cursor:
        for row in cursor.execute(SQL, [ROWS]).fetchall():
            digest = crc32(repr(row).encode(), digest)
    return JsonResponse({"digest": digest})


def sync_for(request: HttpRequest) -> JsonResponse:
    digest = 0
    # A server-side cursor is one with a name, and lives in a transaction.
    with pool().connection() as conn, conn.transaction(), conn.cursor("invoices") as cursor:
        cursor.itersize = BATCH
        for row in cursor.execute(SQL, [ROWS]):
            digest = crc32(repr(row).encode(), digest)
    return JsonResponse({"digest": digest})


async def async_fetchall(request: HttpRequest) -> JsonResponse:
    digest = 0
    pool = await async_pool()
    async with pool.connection() as conn, conn.cursor() as cursor:
        await cursor.execute(SQL, [ROWS])
        for row in await cursor.fetchall():  # pitfall: all of them at once
            digest = crc32(repr(row).encode(), digest)
    return JsonResponse({"digest": digest})


async def async_for(request: HttpRequest) -> JsonResponse:
    digest = 0
    pool = await async_pool()
    async with pool.connection() as conn, conn.transaction(), conn.cursor("invoices") as cursor:
        cursor.itersize = BATCH
        await cursor.execute(SQL, [ROWS])
        async for row in cursor:
            digest = crc32(repr(row).encode(), digest)
    return JsonResponse({"digest": digest})


HELD = "The loop is held for a tenth of the rows at a time; half is for two users, who take turns."
BATCH_ONLY = (
    "A tenth of the rows is in memory; the rest of a third is what any first request takes."
)
SAME_ROWS = "The same rows from the same server; ten round trips more, which wait for little."
comparison = Comparison(
    users=2,
    round_trip=1,
    variants=[
        Variant(sync, "wsgi-threads"),
        Variant(sync_for, "wsgi-threads"),
        Variant(async_fetchall, "asgi-uvicorn", pitfall=True),
        Variant(async_for, "asgi-uvicorn"),
    ],
    expectations=[
        Expectation(async_for, "bystander_max", of=async_fetchall, at_most=0.5, why=HELD),
        Expectation(async_for, "memory", of=async_fetchall, at_most=0.33, why=BATCH_ONLY),
        Expectation(sync_for, "memory", of=sync, at_most=0.33, why=BATCH_ONLY),
        Expectation(async_for, "latency", of=async_fetchall, at_most=1.4, why=SAME_ROWS),
    ],
)
