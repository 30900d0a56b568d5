"""Many rows without a server-side cursor.

Claim: `stream` takes rows as Postgres sends them, and is no slower than a server-side cursor; COPY
    gives them as text, but one by one, and is no faster.
Blocks: nothing blocks the loop for long. A server-side cursor waits for a round trip to Postgres
    before each batch; COPY is awaited for each row.
Instead: `stream` where all rows are read anyway, COPY where text is wanted, such as CSV; a
    server-side cursor where reading may stop early.
"""

from zlib import crc32

from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_pool, pool

ROWS, BATCH = 20_000, 2_000
SQL = "SELECT id, amount_cents, note FROM comparisons_invoice ORDER BY id LIMIT %s"
COPY = f"COPY ({SQL}) TO STDOUT (FORMAT csv)"


def sync_copy(request: HttpRequest) -> JsonResponse:
    digest = 0
    with pool().connection() as conn, conn.cursor() as cursor, cursor.copy(COPY, [ROWS]) as copy:
        for line in copy:
            digest = crc32(line, digest)
    return JsonResponse({"digest": digest})


async def async_for(request: HttpRequest) -> JsonResponse:
    digest = 0
    pool = await async_pool()
    async with pool.connection() as conn, conn.transaction(), conn.cursor("invoices") as cursor:
        cursor.itersize = BATCH
        await cursor.execute(SQL, [ROWS])
        async for row in cursor:
            digest = crc32("{},{},{}\n".format(*row).encode(), digest)
    return JsonResponse({"digest": digest})


async def async_stream(request: HttpRequest) -> JsonResponse:
    digest = 0
    pool = await async_pool()
    async with pool.connection() as conn, conn.cursor() as cursor:
        async for row in cursor.stream(SQL, [ROWS], size=BATCH):
            digest = crc32("{},{},{}\n".format(*row).encode(), digest)
    return JsonResponse({"digest": digest})


async def async_copy(request: HttpRequest) -> JsonResponse:
    digest = 0
    pool = await async_pool()
    async with (
        pool.connection() as conn,
        conn.cursor() as cursor,
        cursor.copy(COPY, [ROWS]) as copy,
    ):
        async for line in copy:
            digest = crc32(line, digest)
    return JsonResponse({"digest": digest})


UNASKED = "Postgres need not be asked for each batch: it is no slower; less than a tenth is none."
AWAITED = "No objects of values, but an await for each row: less than a tenth of CPU is no gain."
comparison = Comparison(
    users=2,
    round_trip=1,
    variants=[
        Variant(sync_copy, "wsgi-threads"),
        Variant(async_for, "asgi-uvicorn"),
        Variant(async_stream, "asgi-uvicorn"),
        Variant(async_copy, "asgi-uvicorn"),
    ],
    expectations=[
        Expectation(async_stream, "throughput", of=async_for, at_least=0.9, why=UNASKED),
        Expectation(async_copy, "cpu_per_request", of=async_for, at_least=0.9, why=AWAITED),
    ],
)
