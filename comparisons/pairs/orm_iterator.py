"""Many rows through the ORM.

Claim: a loop over a queryset holds all its rows in memory, in an async view as in a sync one;
    `iterator` and `aiterator` hold a batch, and `aiterator` fetches each in a thread.
Blocks: nothing blocks the loop. `async for` over a queryset fetches all rows in the request's
    thread, keeps them in the queryset's cache, and only then hands out the first.
Instead: `iterator(chunk_size=…)`, `aiterator(chunk_size=…)`: a server-side cursor, read in batches.
    Not for a queryset that is read twice: there is no cache, the query runs again.
"""

from zlib import crc32

from django.http import HttpRequest, JsonResponse

from comparisons.models import Invoice
from comparisons.registry import Comparison, Expectation, Variant

ROWS, BATCH = 20_000, 1_000
# Named tuples: plain ones `aiterator` would query for on the event loop, which Django refuses.
INVOICES = Invoice.objects.order_by("id").values_list("id", "amount_cents", "note", named=True)


def sync(request: HttpRequest) -> JsonResponse:
    digest = 0
    for row in INVOICES[:ROWS]:
        digest = crc32(repr(row).encode(), digest)
    return JsonResponse({"digest": digest})


def sync_iterator(request: HttpRequest) -> JsonResponse:
    digest = 0
    for row in INVOICES[:ROWS].iterator(chunk_size=BATCH):
        digest = crc32(repr(row).encode(), digest)
    return JsonResponse({"digest": digest})


async def async_for(request: HttpRequest) -> JsonResponse:
    digest = 0
    async for row in INVOICES[:ROWS]:  # pitfall: all rows first, and kept
        digest = crc32(repr(row).encode(), digest)
    return JsonResponse({"digest": digest})


async def async_iterator(request: HttpRequest) -> JsonResponse:
    digest = 0
    async for row in INVOICES[:ROWS].aiterator(chunk_size=BATCH):
        digest = crc32(repr(row).encode(), digest)
    return JsonResponse({"digest": digest})


FEWER = "A twentieth of the rows is in memory; the rest of a third is what any first request takes."
comparison = Comparison(
    users=2,
    round_trip=1,
    variants=[
        Variant(sync, "wsgi-threads"),
        Variant(sync_iterator, "wsgi-threads"),
        Variant(async_for, "asgi-uvicorn", pitfall=True),
        Variant(async_iterator, "asgi-uvicorn"),
    ],
    expectations=[
        Expectation(sync_iterator, "memory", of=sync, at_most=0.33, why=FEWER),
        Expectation(async_iterator, "memory", of=async_for, at_most=0.33, why=FEWER),
    ],
)
