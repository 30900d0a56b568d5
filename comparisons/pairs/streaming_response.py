"""Rows streamed to the client.

Claim: a response can be sent while its rows are read, so that neither has to fit into memory; but
    in an async view only an async iterator does that.
Blocks: Django's ASGI handler can't await a sync iterator: it makes a list of it, in a thread, and
    sends nothing before the last row is there. It warns once.
Instead: an async generator over an async server-side cursor. It waits while the client reads, and
    holds a connection for as long: a slow client costs one, as it costs a thread under WSGI too.
    A list gives its connection back first; where clients are slow and rows few, it is the better.
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from comparisons.models import Invoice
from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_pool

ROWS, BATCH = 20_000, 1_000
SQL = "SELECT id, amount_cents, note FROM comparisons_invoice ORDER BY id LIMIT %s"
INVOICES = Invoice.objects.order_by("id").values_list("id", "amount_cents", "note")


def csv(rows: Iterable[tuple[int, int, str]]) -> str:
    return "".join(f"{id},{cents},{note}\n" for id, cents, note in rows)


def sync_list(request: HttpRequest) -> HttpResponse:
    return HttpResponse(csv(list(INVOICES[:ROWS])), content_type="text/csv")


def sync(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(batches(), content_type="text/csv")


async def async_list(request: HttpRequest) -> HttpResponse:
    pool = await async_pool()
    async with pool.connection() as connection:
        cursor = await connection.execute(SQL, [ROWS])
        rows = await cursor.fetchall()
    return HttpResponse(csv(rows), content_type="text/csv")


async def async_sync_iterator(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(batches(), content_type="text/csv")  # pitfall: becomes a list


async def async_native(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(async_batches(), content_type="text/csv")


def batches() -> Iterator[str]:
    """Pieces of the file, each read when the one before has been sent."""
    rows = INVOICES[:ROWS].iterator(chunk_size=BATCH)
    while batch := csv(islice(rows, BATCH)):
        yield batch


async def async_batches() -> AsyncIterator[str]:
    """Pieces of the file, each read when the one before has been sent."""
    pool = await async_pool()
    async with (
        pool.connection() as connection,
        connection.transaction(),
        connection.cursor(name="invoices") as cursor,
    ):
        await cursor.execute(SQL, [ROWS])
        while rows := await cursor.fetchmany(BATCH):
            yield csv(rows)


comparison = Comparison(
    users=2,
    variants=[
        Variant(sync_list, "wsgi-threads"),
        Variant(sync, "wsgi-threads"),
        Variant(async_list, "asgi-uvicorn"),
        Variant(async_sync_iterator, "asgi-uvicorn", pitfall=True),
        Variant(async_native, "asgi-uvicorn"),
    ],
    expectations=[
        Expectation(async_native, "memory", of=async_list, at_most=0.5),
        Expectation(async_native, "memory", of=async_sync_iterator, at_most=0.5),
        Expectation(sync, "memory", of=sync_list, at_most=0.5),
        Expectation(async_native, "bystander_p99", of=async_list, at_most=0.5),
        Expectation(async_native, "throughput", of=async_list, at_least=0.7),
    ],
)
