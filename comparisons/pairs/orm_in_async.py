"""Django's ORM in an async view.

Claim: the ORM's async methods are no faster than the sync ones: each is the sync one in a thread.
    They save neither a thread nor a connection, they only keep the event loop free.
Blocks: nothing blocks the loop. `aget`, `acount` and `async for` each hop into the one thread that
    Django keeps for the request, and use that thread's connection, one after another.
Instead: hop once, with one sync function for all; or query with psycopg, which needs no thread.
"""

from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, JsonResponse

from comparisons.models import Customer
from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_pool

ID, LATEST = 1, 20
NAME = "SELECT name FROM comparisons_customer WHERE id = %s"
OF_CUSTOMER = "FROM comparisons_invoice WHERE customer_id = %s"
COUNT = f"SELECT count(*) {OF_CUSTOMER}"
CENTS = f"SELECT amount_cents {OF_CUSTOMER} ORDER BY id DESC LIMIT %s"


def summary() -> dict[str, Any]:
    """Query through Django's connection of the calling thread."""
    customer = Customer.objects.get(id=ID)
    count = customer.invoice_set.count()
    latest = customer.invoice_set.order_by("-id")[:LATEST]
    cents = [invoice.amount_cents for invoice in latest]
    return {"name": customer.name, "invoices": count, "latest_cents": cents}


def sync(request: HttpRequest) -> JsonResponse:
    return JsonResponse(summary())


async def async_orm(request: HttpRequest) -> JsonResponse:
    customer = await Customer.objects.aget(id=ID)
    count = await customer.invoice_set.acount()
    latest = customer.invoice_set.order_by("-id")[:LATEST]
    cents = [invoice.amount_cents async for invoice in latest]
    return JsonResponse({"name": customer.name, "invoices": count, "latest_cents": cents})


async def async_one_hop(request: HttpRequest) -> JsonResponse:
    return JsonResponse(await sync_to_async(summary)())


async def async_native(request: HttpRequest) -> JsonResponse:
    pool = await async_pool()
    async with pool.connection() as conn, conn.cursor() as cursor:
        await cursor.execute(NAME, [ID])
        ((name,),) = await cursor.fetchall()
        await cursor.execute(COUNT, [ID])
        ((count,),) = await cursor.fetchall()
        await cursor.execute(CENTS, [ID, LATEST])
        cents = [cents async for (cents,) in cursor]
    return JsonResponse({"name": name, "invoices": count, "latest_cents": cents})


GAIN = "The same Python in as many threads, and hops on top: nothing can be gained."
HOPS = "One hop instead of three, each of microseconds: no loss, to a twentieth, is all it claims."
LESS = "No thread and no ORM: both cost CPU time, of which a tenth at least is saved."
comparison = Comparison(
    users=4,
    variants=[
        Variant(sync, "wsgi-threads"),
        Variant(async_orm, "asgi-uvicorn"),
        Variant(async_one_hop, "asgi-uvicorn"),
        Variant(async_native, "asgi-uvicorn"),
    ],
    expectations=[
        Expectation(async_orm, "throughput", of=sync, at_most=1, why=GAIN),
        Expectation(async_one_hop, "cpu_per_request", of=async_orm, at_most=1.05, why=HOPS),
        Expectation(async_native, "cpu_per_request", of=async_orm, at_most=0.9, why=LESS),
    ],
)
