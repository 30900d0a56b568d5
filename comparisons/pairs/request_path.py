"""What a request costs before the view runs.

Claim: handing work to threads too often eats what async has won. Django's own request path does it:
    an async view is slower than a sync one, because of what happens before and after it.
Blocks: nothing blocks. Each request makes a thread, hands work to it twice (for the receivers of
    its signals) and another thread waits for the end of the first; a sync view is a third hop.
Instead: a handler that goes to a thread only for what must be there (project/direct.py), as long as
    Django itself does not.
"""

from django.db import connection
from django.http import HttpRequest, JsonResponse

from comparisons.floor import ID, POINT_QUERY, async_plain, async_starlette, async_starlette_query
from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_pool


def sync(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ok": True})


async def async_native(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ok": True})


def sync_query(request: HttpRequest) -> JsonResponse:
    with connection.cursor() as cursor:
        cursor.execute(POINT_QUERY, [ID, ID])
        ((ok,),) = cursor.fetchall()
    return JsonResponse({"ok": ok})


async def async_query(request: HttpRequest) -> JsonResponse:
    pool = await async_pool()
    async with pool.connection() as conn:
        ((ok,),) = await (await conn.execute(POINT_QUERY, [ID, ID])).fetchall()
    return JsonResponse({"ok": ok})


ASGI, DIRECT, SHARED = "asgi-uvicorn", "asgi-uvicorn-direct", {"SHARED_THREAD": "1"}
OURS_QUERY = "async_direct_query"
PLAIN, STARLETTE = "comparisons.floor:plain", "comparisons.floor:starlette"
HOPS = "Two threads made and two hops are a multiple of what is left of Django's path without them."
KEPT = "gthread has its threads already, and makes no hop."
ONE = "A thread that is kept need not be made: the hops remain."
FEWER = "Of three hops and two threads two hops and one thread remain."
PARTS = "Starlette takes 15 µs, this path 50, uvicorn 30 for each: 45 / 80, less a fifth."
QUERY = "The same and a query of 100 µs for each: 145 / 180, less a quarter."
BOTH = "The query costs all the same: they differ by less, and in the same order."
HELPERS = "An event loop has its thread and a few helpers; no request has one of its own."
comparison = Comparison(
    users=16,
    raw=True,
    variants=[
        Variant(sync, "wsgi-threads"),
        Variant(sync, ASGI, name="sync_asgi", pitfall=True),  # pitfall: one more hop, for the view
        Variant(sync, DIRECT, name="sync_direct"),
        Variant(async_native, ASGI, name="async_stock", pitfall=True),  # pitfall: Django's two hops
        Variant(async_native, ASGI, name="async_shared_thread", environ=SHARED),
        Variant(async_native, DIRECT, name="async_direct"),
        Variant(async_starlette, ASGI, app=STARLETTE),
        Variant(async_plain, ASGI, app=PLAIN),
        Variant(sync_query, "wsgi-threads"),
        Variant(async_query, ASGI, name="async_stock_query", pitfall=True),  # pitfall: the same two
        Variant(async_query, DIRECT, name=OURS_QUERY),
        Variant(async_starlette_query, ASGI, app=STARLETTE),
    ],
    expectations=[
        Expectation(sync, "throughput", of="async_stock", at_least=1, why=KEPT),
        Expectation("async_shared_thread", "throughput", of="async_stock", at_least=1, why=ONE),
        Expectation("sync_direct", "throughput", of="sync_asgi", at_least=1, why=FEWER),
        Expectation("async_direct", "throughput", of="async_stock", at_least=3, why=HOPS),
        Expectation("async_direct", "throughput", of=async_starlette, at_least=0.45, why=PARTS),
        Expectation(OURS_QUERY, "throughput", of="async_stock_query", at_least=1, why=BOTH),
        Expectation(OURS_QUERY, "throughput", of=async_starlette_query, at_least=0.6, why=QUERY),
        Expectation(("async_direct", OURS_QUERY), "threads", at_most=20, why=HELPERS),
    ],
)
