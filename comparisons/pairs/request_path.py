"""What a request costs before the view runs.

Claim: handing work to threads too often eats what async has won. Django's own request path does it:
    an async view is slower than a sync one, because of what happens before and after it.
Blocks: nothing blocks. Each request makes a thread, hands work to it twice (for the receivers of
    its signals) and another thread waits for the end of the first; a sync view is a third hop.
Instead: a handler that goes to a thread only for what must be there (project/direct.py), as long as
    Django itself does not.
"""

from typing import Any

from django.db import connection
from django.http import HttpRequest, JsonResponse

from comparisons import floor
from comparisons.floor import ID, POINT_QUERY
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


PLAIN: dict[str, Any] = {"app": "comparisons.floor:plain"}
STARLETTE: dict[str, Any] = {"app": "comparisons.floor:starlette"}
SHARED_THREAD = {"SHARED_THREAD": "1"}
DIRECT = "asgi-uvicorn-direct"
THREADLESS = ("async_direct", "async_direct_query")

HOPS = (
    "Two threads made and two hops cost a multiple of what is left of Django's path without them."
)
ONE_THREAD = "A thread that is kept need not be made: the hops remain."
KEPT = "gthread has its threads already, and makes no hop."
FEWER = "Of three hops and two threads two hops and one thread remain."
FRAMEWORKS = "Django's request, response, URLs and signals do more than Starlette's: twice as much."
WITH_QUERY = "The query costs both the same, so the frameworks differ by less."
HELPERS = "An event loop has its thread and a few helpers; no request has one of its own."
comparison = Comparison(
    users=16,
    raw=True,
    variants=[
        Variant(sync, "wsgi-threads"),
        Variant(sync, "asgi-uvicorn", name="sync_asgi", pitfall=True),
        Variant(sync, DIRECT, name="sync_direct"),
        Variant(async_native, "asgi-uvicorn", name="async_stock", pitfall=True),
        Variant(async_native, "asgi-uvicorn", name="async_shared_thread", environ=SHARED_THREAD),
        Variant(async_native, DIRECT, name="async_direct"),
        Variant(floor.async_starlette, "asgi-uvicorn", **STARLETTE),
        Variant(floor.async_plain, "asgi-uvicorn", **PLAIN),
        Variant(sync_query, "wsgi-threads"),
        Variant(async_query, "asgi-uvicorn", name="async_stock_query", pitfall=True),
        Variant(async_query, DIRECT, name="async_direct_query"),
        Variant(floor.async_starlette_query, "asgi-uvicorn", **STARLETTE),
    ],
    expectations=[
        Expectation(sync, "throughput", of="async_stock", at_least=1, why=KEPT),
        Expectation(
            "async_shared_thread", "throughput", of="async_stock", at_least=1, why=ONE_THREAD
        ),
        Expectation("sync_direct", "throughput", of="sync_asgi", at_least=1, why=FEWER),
        Expectation("async_direct", "throughput", of="async_stock", at_least=3, why=HOPS),
        Expectation(
            "async_direct", "throughput", of="async_starlette", at_least=0.45, why=FRAMEWORKS
        ),
        Expectation(
            "async_direct_query",
            "throughput",
            of="async_starlette_query",
            at_least=0.6,
            why=WITH_QUERY,
        ),
        Expectation(THREADLESS, "threads", at_most=20, why=HELPERS),
    ],
)
