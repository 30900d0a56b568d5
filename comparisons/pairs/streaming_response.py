"""Rows streamed to the client.

Claim: a response can be sent while its rows are read, so that neither has to fit into memory; but
    in an async view only an async iterator does that.
Blocks: Django's ASGI handler makes a list of a sync iterator, in a thread, before it sends any.
Instead: an async generator over an async cursor. It holds a connection while a slow client reads; a
    list gives it back first, and is better where rows are few.
"""

from collections.abc import AsyncIterator, Iterator

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_pool, pool

ROWS, BATCH, LINE = 20_000, 1_000, "%s,%s,%s\n"
SQL = "SELECT id, amount_cents, note FROM comparisons_invoice ORDER BY id LIMIT %s"


def batches() -> Iterator[str]:
    """Yield the file in pieces, each read when the one before has been sent."""
    with pool().connection() as conn, conn.transaction(), conn.cursor("invoices") as cursor:
        cursor.execute(SQL, [ROWS])
        while rows := cursor.fetchmany(BATCH):
            yield "".join(LINE % row for row in rows)


async def async_batches() -> AsyncIterator[str]:
    pool = await async_pool()
    async with pool.connection() as conn, conn.transaction(), conn.cursor("invoices") as cursor:
        await cursor.execute(SQL, [ROWS])
        while rows := await cursor.fetchmany(BATCH):
            yield "".join(LINE % row for row in rows)


def sync_list(request: HttpRequest) -> HttpResponse:
    with pool().connection() as conn:
        rows = conn.execute(SQL, [ROWS]).fetchall()
    return HttpResponse("".join(LINE % row for row in rows), content_type="text/csv")


def sync_streaming(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(batches(), content_type="text/csv")


async def async_list(request: HttpRequest) -> HttpResponse:
    pool = await async_pool()
    async with pool.connection() as conn:
        rows = await (await conn.execute(SQL, [ROWS])).fetchall()
    return HttpResponse("".join(LINE % row for row in rows), content_type="text/csv")


async def async_sync_iterator(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(batches(), content_type="text/csv")  # pitfall: becomes a list


async def async_native(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(async_batches(), content_type="text/csv")


PIECES = "A twentieth is in memory, or holds the loop, at a time; half is left for all the rest."
TRIPS = "The same rows; twenty round trips more, of microseconds here, and sent while read."
comparison = Comparison(
    users=2,
    variants=[
        Variant(sync_list, "wsgi-threads"),
        Variant(sync_streaming, "wsgi-threads"),
        Variant(async_list, "asgi-uvicorn"),
        Variant(async_sync_iterator, "asgi-uvicorn", pitfall=True),
        Variant(async_native, "asgi-uvicorn"),
    ],
    expectations=[
        Expectation(sync_streaming, "memory", of=sync_list, at_most=0.5, why=PIECES),
        Expectation(async_native, "memory", of=async_list, at_most=0.5, why=PIECES),
        Expectation(async_native, "memory", of=async_sync_iterator, at_most=0.5, why=PIECES),
        Expectation(async_native, "bystander", of=async_list, at_most=0.5, why=PIECES),
        Expectation(async_native, "latency", of=async_list, at_most=1.4, why=TRIPS),
    ],
)
