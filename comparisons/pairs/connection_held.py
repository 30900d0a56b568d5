"""A connection held while the view waits for something else.

Claim: a request that has queried keeps a connection until its end: as long as the view waits
    elsewhere, the pool runs dry while PostgreSQL idles.
Blocks: nothing blocks the loop. The others wait for a connection, in threads and under ASGI alike:
    Django gives it back at `request_finished`, or when it is closed.
Instead: close Django's connection after the last query, in the thread that has it; another query
    takes another one. Or psycopg's pool, which lends a connection for the query only.
"""

from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection, connections
from django.http import HttpRequest, JsonResponse

from comparisons.models import Customer
from comparisons.registry import NEAR, Comparison, Expectation, Variant
from comparisons.resources import async_pool, async_upstream, upstream

ID, SQL = 1, "SELECT name FROM comparisons_customer WHERE id = %s"
WAIT_MS, SIZE = 100, 4
ENVIRON = {"POOL_SIZE": str(SIZE), "POOL_TIMEOUT": "60"}
POOLED: dict[str, Any] = {"wait": WAIT_MS / 1000, "database": "pool", "environ": ENVIRON}


def sync_held(request: HttpRequest) -> JsonResponse:
    customer = Customer.objects.get(id=ID)
    upstream().get(f"/wait/{WAIT_MS}")  # pitfall: with the connection of a query that has ended
    return JsonResponse({"name": customer.name})


def sync_closing(request: HttpRequest) -> JsonResponse:
    customer = Customer.objects.get(id=ID)
    connection.close()  # back to the pool
    upstream().get(f"/wait/{WAIT_MS}")
    return JsonResponse({"name": customer.name})


async def async_held(request: HttpRequest) -> JsonResponse:
    customer = await Customer.objects.aget(id=ID)
    await async_upstream().get(f"/wait/{WAIT_MS}")  # pitfall: likewise, that of its thread
    return JsonResponse({"name": customer.name})


async def async_closing(request: HttpRequest) -> JsonResponse:
    customer = await Customer.objects.aget(id=ID)
    await sync_to_async(connections.close_all)()  # in the thread in which `aget` has queried
    await async_upstream().get(f"/wait/{WAIT_MS}")
    return JsonResponse({"name": customer.name})


async def async_native(request: HttpRequest) -> JsonResponse:
    async with (await async_pool()).connection() as conn:
        ((name,),) = await (await conn.execute(SQL, [ID])).fetchall()
    await async_upstream().get(f"/wait/{WAIT_MS}")
    return JsonResponse({"name": name})


HELD, FREED = (sync_held, async_held), (sync_closing, async_closing, async_native)
TURNS = "SIZE are served at a time, in the order in which they come: users / SIZE waits each."
DRY = "The same law: all but one's own of users / SIZE waits; half is for a round's start and end."
GAIN = "All users wait at once; CPU time alone is shared, and no connection."
FREE = "Nobody keeps a connection while it waits: one is free long before half a wait has passed."
comparison = Comparison(
    users=20,
    variants=[
        Variant(sync_held, "wsgi-threads", slots=SIZE, pitfall=True, **POOLED),
        Variant(sync_closing, "wsgi-threads", **POOLED),
        Variant(async_held, "asgi-uvicorn", slots=SIZE, pitfall=True, **POOLED),
        Variant(async_closing, "asgi-uvicorn", **POOLED),
        Variant(async_native, "asgi-uvicorn", **POOLED),
    ],
    expectations=[
        Expectation(HELD, "latency", of="wait", at_least=lambda n: n / SIZE, why=TURNS),
        Expectation(HELD, "pool_wait", at_least=lambda n: (n / SIZE - 1) * WAIT_MS / 2, why=DRY),
        Expectation(FREED, "throughput", of="queue", at_least=NEAR, users=20, why=GAIN),
        Expectation(FREED, "pool_wait", at_most=WAIT_MS / 2, users=20, why=FREE),
    ],
)
