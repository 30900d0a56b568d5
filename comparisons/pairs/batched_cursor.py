"""Reading many rows, in batches.

Claim: many rows are read in batches: the event loop is held for one batch at a time, the memory is
    that of a batch, and the rows come nearly as fast as all at once.
Blocks: `fetchall` makes an object of every value of every row before anything else may run, and
    keeps them all. A batch does the same in small: too large, it holds the loop too; too small, it
    is one round trip to Postgres after another.
Instead: a server-side cursor, with `async for` (`itersize` rows a batch) or `fetchmany`. `stream`
    lets Postgres send without being asked for each batch, and COPY makes no objects at all.
    `aiterator` fetches each batch in a thread.
"""

from time import perf_counter
from typing import Any
from zlib import crc32

from django.http import HttpRequest, JsonResponse
from environs import env, validate

from comparisons.models import Invoice
from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_pool

ROWS = env.int("CURSOR_ROWS", 20_000, validate=validate.Range(min=1, max=100_000))
BATCH = env.int("CURSOR_BATCH", 2_000, validate=validate.Range(min=1, max=10_000))
SQL = "SELECT id, amount_cents, note FROM comparisons_invoice ORDER BY id LIMIT %s"
INVOICES = Invoice.objects.order_by("id").values_list("id", "amount_cents", "note", named=True)


class Csv:
    """The checksum of a CSV file of the rows, and when the first of them was there."""

    def __init__(self) -> None:
        self.digest = 0
        self.start = perf_counter()
        self.first: float | None = None

    def add(self, row: tuple[Any, ...]) -> None:
        self.add_text("{},{},{}\n".format(*row).encode())

    def add_text(self, text: bytes | bytearray | memoryview) -> None:
        self.first = self.first or perf_counter()
        self.digest = crc32(text, self.digest)

    def response(self) -> JsonResponse:
        waited = 1000 * ((self.first or self.start) - self.start)
        headers = {"Server-Timing": f"first-row;dur={waited:.1f}"}
        return JsonResponse({"digest": self.digest}, headers=headers)


def sync(request: HttpRequest) -> JsonResponse:
    csv = Csv()
    for row in list(INVOICES[:ROWS]):
        csv.add(row)
    return csv.response()


def sync_iterator(request: HttpRequest) -> JsonResponse:
    csv = Csv()
    for row in INVOICES[:ROWS].iterator(chunk_size=BATCH):
        csv.add(row)
    return csv.response()


async def async_fetchall(request: HttpRequest) -> JsonResponse:
    csv = Csv()
    pool = await async_pool()
    async with pool.connection() as connection:
        cursor = await connection.execute(SQL, [ROWS])
        for row in await cursor.fetchall():  # pitfall: all of them at once
            csv.add(row)
    return csv.response()


async def async_iterator(request: HttpRequest) -> JsonResponse:
    csv = Csv()
    async for row in INVOICES[:ROWS].aiterator(chunk_size=BATCH):
        csv.add(row)
    return csv.response()


async def async_for(request: HttpRequest) -> JsonResponse:
    csv = Csv()
    pool = await async_pool()
    async with (
        pool.connection() as connection,
        connection.transaction(),  # a server-side cursor lives in one
        connection.cursor(name="invoices") as cursor,
    ):
        cursor.itersize = BATCH
        await cursor.execute(SQL, [ROWS])
        async for row in cursor:
            csv.add(row)
    return csv.response()


async def async_fetchmany(request: HttpRequest) -> JsonResponse:
    csv = Csv()
    pool = await async_pool()
    async with (
        pool.connection() as connection,
        connection.transaction(),
        connection.cursor(name="invoices") as cursor,
    ):
        await cursor.execute(SQL, [ROWS])
        while batch := await cursor.fetchmany(BATCH):
            for row in batch:
                csv.add(row)
    return csv.response()


async def async_stream(request: HttpRequest) -> JsonResponse:
    csv = Csv()
    pool = await async_pool()
    async with pool.connection() as connection, connection.cursor() as cursor:
        async for row in cursor.stream(SQL, [ROWS], size=BATCH):
            csv.add(row)
    return csv.response()


async def async_copy(request: HttpRequest) -> JsonResponse:
    csv = Csv()
    pool = await async_pool()
    async with (
        pool.connection() as connection,
        connection.cursor() as cursor,
        cursor.copy(f"COPY ({SQL}) TO STDOUT (FORMAT csv)", [ROWS]) as copy,
    ):
        async for lines in copy:
            csv.add_text(lines)
    return csv.response()


comparison = Comparison(
    users=2,
    round_trip=1,
    variants=[
        Variant(sync, "wsgi-threads"),
        Variant(sync_iterator, "wsgi-threads"),
        Variant(async_fetchall, "asgi-uvicorn", pitfall=True),
        Variant(async_iterator, "asgi-uvicorn"),
        Variant(async_for, "asgi-uvicorn"),
        *(
            Variant(
                async_fetchmany,
                "asgi-uvicorn",
                name=f"async_fetchmany_{batch}",
                environ={"CURSOR_BATCH": str(batch)},
            )
            for batch in (250, 1_000, 10_000)
        ),
        Variant(async_stream, "asgi-uvicorn"),
        Variant(async_copy, "asgi-uvicorn"),
    ],
    expectations=[
        # The loop is held for a batch at a time instead of for all, a tenth. Half is left for what
        # two users do in turn. A row takes microseconds, a batch milliseconds: 20 are generous.
        Expectation(async_for, "bystander_p99", of=async_fetchall, at_most=0.5),
        Expectation(async_for, "bystander_p99", at_most=20),
        # A tenth of the rows in memory; as much again and more for what any first request takes.
        Expectation(async_for, "memory", of=async_fetchall, at_most=0.33),
        Expectation(sync_iterator, "memory", of=sync, at_most=0.33),
        # The same rows from the same server, for a few round trips more.
        Expectation(async_for, "throughput", of=async_fetchall, at_least=0.7),
        # 80 round trips instead of 10: of two users, both wait most of the time.
        Expectation("async_fetchmany_250", "throughput", of=async_for, at_most=0.9),
        # Postgres need not be asked for each batch; no loss is all that is asked for.
        Expectation(async_stream, "throughput", of=async_for, at_least=0.9),
    ],
)
