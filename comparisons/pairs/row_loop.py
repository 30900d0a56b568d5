"""A loop over ten thousand rows.

Claim: a loop over ten thousand rows blocks now and then, and holding them all wastes memory.
Blocks: `fetchall` turns ten thousand rows into Python objects in one go, and the loop reads them
    all before the event loop runs again.
Instead: read in batches from a server-side cursor: `async for` awaits the next batch, and the
    memory is a batch's. Or, with the rows there already, give control back every 2,000 rows.
"""

import asyncio
from zlib import crc32

from django.http import HttpRequest, JsonResponse

from comparisons.models import Invoice
from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_pool

ROWS, BATCH = 10_000, 2_000
SQL = "SELECT id, amount_cents, note FROM comparisons_invoice ORDER BY id LIMIT %s"
INVOICES = Invoice.objects.order_by("id").values_list("id", "amount_cents", "note")


def add_line(digest: int, row: tuple[int, int, str]) -> int:
    """Something to do with a row: the checksum of a CSV file to which it is added."""
    return crc32("{},{},{}\n".format(*row).encode(), digest)


def sync(request: HttpRequest) -> JsonResponse:
    digest = 0
    for row in list(INVOICES[:ROWS]):
        digest = add_line(digest, row)
    return JsonResponse({"digest": digest})


def sync_iterator(request: HttpRequest) -> JsonResponse:
    digest = 0
    for row in INVOICES[:ROWS].iterator(chunk_size=BATCH):
        digest = add_line(digest, row)
    return JsonResponse({"digest": digest})


async def async_fetchall(request: HttpRequest) -> JsonResponse:
    digest = 0
    pool = await async_pool()
    async with pool.connection() as connection:
        cursor = await connection.execute(SQL, [ROWS])
        for row in await cursor.fetchall():  # pitfall
            digest = add_line(digest, row)
    return JsonResponse({"digest": digest})


async def async_pausing(request: HttpRequest) -> JsonResponse:
    digest = 0
    pool = await async_pool()
    async with pool.connection() as connection:
        cursor = await connection.execute(SQL, [ROWS])
        for read, row in enumerate(await cursor.fetchall(), start=1):
            digest = add_line(digest, row)
            if read % BATCH == 0:
                await asyncio.sleep(0)
    return JsonResponse({"digest": digest})


async def async_batches(request: HttpRequest) -> JsonResponse:
    digest = 0
    pool = await async_pool()
    async with (
        pool.connection() as connection,
        connection.transaction(),  # a server-side cursor lives in one
        connection.cursor(name="invoices") as cursor,
    ):
        cursor.itersize = BATCH
        await cursor.execute(SQL, [ROWS])
        async for row in cursor:
            digest = add_line(digest, row)
    return JsonResponse({"digest": digest})


comparison = Comparison(
    users=1,  # with Postgres and the generator, two cores are busy: more would queue for them
    variants=[
        Variant(sync, "wsgi-threads"),
        Variant(sync_iterator, "wsgi-threads"),
        Variant(async_fetchall, "asgi-uvicorn", pitfall=True),
        Variant(async_pausing, "asgi-uvicorn"),
        Variant(async_batches, "asgi-uvicorn"),
    ],
    expectations=[
        # The loop is held for a batch at a time instead of for all: a fifth, were rows all that
        # costs. Half is left for each batch's round trip to Postgres.
        Expectation(async_batches, "bystander_p99", of=async_fetchall, at_most=0.5),
        # A pause comes after fetchall, when most of the work that blocks is done.
        Expectation(async_pausing, "bystander_p99", of=async_fetchall, at_most=0.9),
        # A batch of 2,000 rows in memory instead of 10,000.
        Expectation(async_batches, "memory", of=async_fetchall, at_most=0.5),
        Expectation(sync_iterator, "memory", of=sync, at_most=0.5),
        # The same rows from the same server: batches cost round trips, here of microseconds.
        Expectation(async_batches, "throughput", of=async_fetchall, at_least=0.7),
    ],
)
