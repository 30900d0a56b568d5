"""The size of a batch.

Claim: a batch that is too small costs a round trip to Postgres for a few rows, and one that is too
    large holds the event loop nearly as long as all rows at once.
Blocks: each batch becomes Python objects in one go, and is dealt with before anything else may run.
Instead: batches of one or two thousand rows, larger where Postgres is further away (psycopg's own
    `itersize` is 100). `python -m loadtests.studies.batch_sizes` compares more, near and far.
"""

from zlib import crc32

from django.http import HttpRequest, JsonResponse
from environs import env

from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_pool, pool

SQL = "SELECT id, amount_cents, note FROM comparisons_invoice ORDER BY id LIMIT %s"
SYNC_SIZES, SIZES = (250, 2_000), (250, 1_000, 2_000, 10_000)


def rows_and_batch() -> tuple[int, int]:
    """Return how many rows to read, and how many at a time: a variant's environment says so."""
    return env.int("CURSOR_ROWS", 20_000), env.int("CURSOR_BATCH", 2_000)


def sync(request: HttpRequest) -> JsonResponse:
    digest = 0
    rows, batch = rows_and_batch()
    with pool().connection() as conn, conn.transaction(), conn.cursor("invoices") as cursor:
        cursor.execute(SQL, [rows])
        while fetched := cursor.fetchmany(batch):
            for row in fetched:
                digest = crc32(repr(row).encode(), digest)
    return JsonResponse({"digest": digest})


async def async_native(request: HttpRequest) -> JsonResponse:
    digest = 0
    rows, batch = rows_and_batch()
    pool = await async_pool()
    async with pool.connection() as conn, conn.transaction(), conn.cursor("invoices") as cursor:
        await cursor.execute(SQL, [rows])
        while fetched := await cursor.fetchmany(batch):
            for row in fetched:
                digest = crc32(repr(row).encode(), digest)
    return JsonResponse({"digest": digest})


TRIPS = "80 round trips instead of 10: 70 ms, a tenth at least of what a request takes."
HELD = "Forty times the rows hold the loop forty times as long; twice leaves room for all else."
comparison = Comparison(
    users=2,
    round_trip=1,
    variants=[
        Variant(sync, "wsgi-threads", name=f"sync_{size}", environ={"CURSOR_BATCH": str(size)})
        for size in SYNC_SIZES
    ]
    + [
        Variant(
            async_native, "asgi-uvicorn", name=f"async_{size}", environ={"CURSOR_BATCH": str(size)}
        )
        for size in SIZES
    ],
    expectations=[
        Expectation("async_250", "throughput", of="async_2000", at_most=0.9, why=TRIPS),
        Expectation("sync_250", "throughput", of="sync_2000", at_most=0.9, why=TRIPS),
        Expectation("async_10000", "bystander_max", of="async_250", at_least=2, why=HELD),
    ],
)
