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

ROWS, BATCH = 20_000, 2_000  # twice as many as claimed, beside what any request costs
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


A_TENTH = "A tenth of the rows holds the loop at a time; half is left for a bystander's request."
TOO_LATE = "A pause lets others in, but it comes after fetchall: a tenth is asked of it."
IN_MEMORY = "A batch of 2,000 rows is in memory instead of 20,000; half is left for all the rest."
TRIPS = "The same rows from the same server; nine round trips more, here of microseconds."
comparison = Comparison(
    users=1,  # with Postgres and the generator, two cores are busy: more would queue for them
    variants=[
        Variant(sync, "wsgi-threads"),
        Variant(async_fetchall, "asgi-uvicorn", pitfall=True),
        Variant(async_pausing, "asgi-uvicorn"),
        Variant(async_batches, "asgi-uvicorn"),
    ],
    expectations=[
        Expectation(async_batches, "bystander", of=async_fetchall, at_most=0.5, why=A_TENTH),
        Expectation(async_pausing, "bystander", of=async_fetchall, at_most=0.9, why=TOO_LATE),
        Expectation(async_batches, "memory", of=async_fetchall, at_most=0.5, why=IN_MEMORY),
        Expectation(async_batches, "latency", of=async_fetchall, at_most=1.4, why=TRIPS),
    ],
)
