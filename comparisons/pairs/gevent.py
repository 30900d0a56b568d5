"""Sync code on greenlets.

Claim: under gevent sync code waits as async code does, all of it in one thread: psycopg's queries
    too. As on an event loop, nobody takes the thread from who computes.
Blocks: a greenlet that computes holds the thread until it waits; threads take turns every 5 ms.
Instead: gevent for views that wait; what computes goes to the hub's pool of real threads, to a
    process or to another server.
"""

from typing import Any

from django.db import connection
from django.http import HttpRequest, JsonResponse

from comparisons.registry import NEAR, Comparison, Expectation, Variant
from comparisons.resources import async_pool
from comparisons.work import compute

WAIT, SQL = 0.1, "SELECT pg_sleep(%s)"
TURN = 0.005  # seconds for which a thread keeps the GIL from others (sys.getswitchinterval)
CPU = 30 * TURN  # of a request; half of it is more than the turns of one, see TURNS
THREADS = 5
CROWD, FEW = 3 * THREADS, 2  # users: who wait, and who compute


def sync_query(request: HttpRequest) -> JsonResponse:
    with connection.cursor() as cursor:
        cursor.execute(SQL, [WAIT])
    return JsonResponse({"done": True})


def sync_computing(request: HttpRequest) -> JsonResponse:
    compute(CPU)
    return JsonResponse({"done": True})


def sync_offloaded(request: HttpRequest) -> JsonResponse:
    from gevent import get_hub  # here, for only greenlets have one

    get_hub().threadpool.apply(compute, (CPU,))
    return JsonResponse({"done": True})


async def async_native(request: HttpRequest) -> JsonResponse:
    pool = await async_pool()
    async with pool.connection() as conn:
        await conn.execute(SQL, [WAIT])
    return JsonResponse({"done": True})


ALL = "Whoever waits leaves the thread to the others: users / wait. Of threads: threads / wait."
HELD = "Who comes waits for the rest of one computation, half of it on average, and for the other."
TURNS = (
    "The rest of one computation would be half of it on average. Taking turns is less: some six "
    "times a request gives the GIL up, and waits TURN for each of two users to have it back: 60 ms."
)
COMPUTES: dict[str, Any] = {"wait": CPU, "slots": 1}  # one at a time, whatever the threads: the GIL
WAITING, TAKING_TURNS = ("sync_threads", "sync_gevent", "async_native"), "sync_threads_computing"
BYSTANDER: dict[str, Any] = {"metric": "bystander", "users": FEW}
comparison = Comparison(
    users=(FEW, CROWD),
    variants=[
        Variant(sync_query, "wsgi-threads", name="sync_threads", threads=THREADS, wait=WAIT),
        Variant(sync_query, "wsgi-gevent", name="sync_gevent", wait=WAIT),
        Variant(async_native, "asgi-uvicorn", wait=WAIT),
        Variant(sync_computing, "wsgi-threads", name=TAKING_TURNS, **COMPUTES),
        Variant(sync_computing, "wsgi-gevent", pitfall=True, **COMPUTES),  # pitfall: no turns
        Variant(sync_offloaded, "wsgi-gevent", **COMPUTES),
    ],
    expectations=[
        Expectation(WAITING, "throughput", of="ceiling", at_least=NEAR, users=CROWD, why=ALL),
        Expectation(sync_computing, of="wait", at_least=1, why=HELD, **BYSTANDER),
        Expectation((TAKING_TURNS, sync_offloaded), of="wait", at_most=0.5, why=TURNS, **BYSTANDER),
    ],
)
