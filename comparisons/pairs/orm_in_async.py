"""Django's ORM in an async view.

Claim: the ORM's async methods are no faster than the sync ones: each is the sync one in a thread.
    They save neither a thread nor a connection, they only keep the event loop free.
Blocks: nothing blocks the loop. `aget`, `acount` and `async for` each hop into the one thread that
    Django keeps for the request, and use that thread's connection, one after another.
Instead: hop once, with all that belongs together in one sync function; or ask psycopg itself, which
    needs no thread. The header `X-Queries` of each response names the thread that each query ran
    in, and the process of Postgres that answered it.
"""

from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, JsonResponse

from comparisons.models import Customer
from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_pool
from comparisons.whereabouts import note, whereabouts

ID, LATEST = 1, 20
NAME = "SELECT name FROM comparisons_customer WHERE id = %s"
COUNT = "SELECT count(*) FROM comparisons_invoice WHERE customer_id = %s"
CENTS = (
    "SELECT amount_cents FROM comparisons_invoice WHERE customer_id = %s ORDER BY id DESC LIMIT %s"
)


def sync(request: HttpRequest) -> JsonResponse:
    noted = whereabouts()
    return JsonResponse(summary(), headers={"X-Queries": ", ".join(noted)})


async def async_orm(request: HttpRequest) -> JsonResponse:
    noted = whereabouts()
    customer = await Customer.objects.aget(id=ID)
    count = await customer.invoice_set.acount()
    latest = customer.invoice_set.order_by("-id")[:LATEST]
    cents = [invoice.amount_cents async for invoice in latest]
    answer = {"name": customer.name, "invoices": count, "latest_cents": cents}
    return JsonResponse(answer, headers={"X-Queries": ", ".join(noted)})


async def async_one_hop(request: HttpRequest) -> JsonResponse:
    noted = whereabouts()
    answer = await sync_to_async(summary)()
    return JsonResponse(answer, headers={"X-Queries": ", ".join(noted)})


async def async_native(request: HttpRequest) -> JsonResponse:
    noted = whereabouts()
    pool = await async_pool()
    async with pool.connection() as connection:
        answers = []
        for query, parameters in ((NAME, [ID]), (COUNT, [ID]), (CENTS, [ID, LATEST])):
            note(connection.info.backend_pid)
            cursor = await connection.execute(query, parameters)
            answers.append([value for (value,) in await cursor.fetchall()])
    (name,), (count,), cents = answers
    answer = {"name": name, "invoices": count, "latest_cents": cents}
    return JsonResponse(answer, headers={"X-Queries": ", ".join(noted)})


def summary() -> dict[str, Any]:
    customer = Customer.objects.get(id=ID)
    count = customer.invoice_set.count()
    latest = customer.invoice_set.order_by("-id")[:LATEST]
    cents = [invoice.amount_cents for invoice in latest]
    return {"name": customer.name, "invoices": count, "latest_cents": cents}


comparison = Comparison(
    users=4,
    variants=[
        Variant(sync, "wsgi-threads"),
        Variant(async_orm, "asgi-uvicorn"),
        Variant(async_one_hop, "asgi-uvicorn"),
        Variant(async_native, "asgi-uvicorn"),
    ],
    expectations=[
        # The same Python in the same number of threads, and hops on top: nothing can be gained. A
        # tenth is left for the servers' difference.
        Expectation(async_orm, "throughput", of=sync, at_most=1.1),
        # One hop instead of three. Each costs tens of microseconds of the milliseconds that a
        # request takes: no loss is all that is asked for.
        Expectation(async_one_hop, "throughput", of=async_orm, at_least=0.95),
        # No thread and no ORM: both cost CPU time, and without them there is less of it.
        Expectation(async_native, "cpu_per_request", of=async_orm, at_most=0.9),
    ],
)
