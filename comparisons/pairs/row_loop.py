"""A loop over ten thousand rows.

Claim: a loop over ten thousand rows blocks now and then, and holding them all wastes memory.
Blocks: `fetchall` makes Python objects of all rows in one go, and the loop reads them in another.
Instead: read in batches from a server-side cursor: `async for` awaits the next batch. Or, with the
    rows there already, give control back every 2,000 rows.
"""

import asyncio
from zlib import crc32

from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_pool, pool

ROWS, BATCH = 10_000, 2_000
SQL = "SELECT id, amount_cents, note FROM comparisons_invoice ORDER BY id LIMIT %s"


def sync(request: HttpRequest) -> JsonResponse:
    digest = 0
    with pool().connection() as conn:
        for row in conn.execute(SQL, [ROWS]).fetchall():
            digest = crc32(repr(row).encode(), digest)
    return JsonResponse({"digest": digest})


async def async_fetchall(request: HttpRequest) -> JsonResponse:
    digest = 0
    pool = await async_pool()
    async with pool.connection() as conn:
        cursor = await conn.execute(SQL, [ROWS])
        for row in await cursor.fetchall():  # pitfall: all of them in one go
            digest = crc32(repr(row).encode(), digest)
    return JsonResponse({"digest": digest})


async def async_pausing(request: HttpRequest) -> JsonResponse:
    digest = 0
    pool = await async_pool()
    async with pool.connection() as conn:
        cursor = await conn.execute(SQL, [ROWS])
        for read, row in enumerate(await cursor.fetchall(), start=1):
            digest = crc32(repr(row).encode(), digest)
            if read % BATCH == 0:
                await asyncio.sleep(0)
    return JsonResponse({"digest": digest})


async def async_batches(request: HttpRequest) -> JsonResponse:
    digest = 0
    pool = await async_pool()
    async with pool.connection() as conn, conn.transaction(), conn.cursor("invoices") as cursor:
        cursor.itersize = BATCH
        await cursor.execute(SQL, [ROWS])
        async for row in cursor:
            digest = crc32(repr(row).encode(), digest)
    return JsonResponse({"digest": digest})


comparison = Comparison(
    users=1,  # with Postgres and the generator, two cores are busy: more would queue for them
    variants=[
        Variant(sync, "wsgi-threads"),
        Variant(async_fetchall, "asgi-uvicorn", pitfall=True),
        Variant(async_pausing, "asgi-uvicorn"),
        Variant(async_batches, "asgi-uvicorn"),
    ],
    expectations=[
        # The loop is held for a fifth of the rows at a time. Half is left for the round trips.
        Expectation(async_batches, "bystander_max", of=async_fetchall, at_most=0.5),
        # A pause comes after fetchall, when most of the work that blocks is done.
        Expectation(async_pausing, "bystander_max", of=async_fetchall, at_most=0.9),
        # A batch of 2,000 rows in memory instead of 10,000.
        Expectation(async_batches, "memory", of=async_fetchall, at_most=0.5),
        # The same rows from the same server: batches cost round trips, here of microseconds.
        Expectation(async_batches, "throughput", of=async_fetchall, at_least=0.7),
    ],
)
