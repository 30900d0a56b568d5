"""Sync views under ASGI.

Claim: ASGI serves sync views at once, in a thread for each request: as many threads as users,
    without the limit that WSGI has, and as many connections where no pool bounds them.
Blocks: nothing blocks the loop, but requests that share one thread take turns in it. Async views
    among them wait too: Django's handler sends its signals in that thread.
Instead: a pool of connections, for which the others wait, each in its thread. Or `await`: an async
    view leaves the thread alone, and so all of them can share it.
"""

from typing import Any

from django.db import connection
from django.http import HttpRequest, JsonResponse

from comparisons.registry import NEAR, Comparison, Expectation, Variant
from comparisons.resources import async_pool

WAIT, SQL = 0.1, "SELECT pg_sleep(%s)"
SIZE = 3  # threads, or connections of the pool
NO_POOL: dict[str, Any] = {"wait": WAIT, "database": "none"}
POOL: dict[str, Any] = {"database": "pool", "slots": SIZE, "environ": {"POOL_SIZE": str(SIZE)}}
SHARED = {"SHARED_THREAD": "1"}  # see project/asgi.py
ONE: dict[str, Any] = {"slots": 1, "environ": SHARED, "pitfall": True}


def sync(request: HttpRequest) -> JsonResponse:
    with connection.cursor() as cursor:
        cursor.execute(SQL, [WAIT])
    return JsonResponse({"slept": WAIT})


async def async_native(request: HttpRequest) -> JsonResponse:
    async with (await async_pool()).connection() as conn:
        await conn.execute(SQL, [WAIT])
    return JsonResponse({"slept": WAIT})


TURNS = "One thread serves one request at a time, and everybody waits for all the others."
AT_ONCE = "All users wait at once; CPU time alone is shared, for threads and connections as well."
OWN = "Each request that waits has a thread of its own, beside the loop's."
UNBOUNDED = "Who waits has a connection; who is between two requests has none: half of the users."
LIMIT = "Those who find no thread, or no connection, wait until one is free."
BEHIND = "Its own signals wait for the view that runs, and for those of the others before it."
FEW = "The loop has its thread, uvloop four for names and files, and all sync code one."
comparison = Comparison(
    users=8,
    variants=[
        Variant(sync, "wsgi-threads", name="sync_wsgi", wait=WAIT, threads=SIZE),
        Variant(sync, "asgi-uvicorn", name="sync_asgi", **NO_POOL),
        Variant(sync, "asgi-uvicorn", name="sync_pool", wait=WAIT, **POOL),
        Variant(  # pitfall: a request waits for all that came before it
            sync, "asgi-uvicorn", name="sync_shared_thread", **NO_POOL, **ONE
        ),
        Variant(async_native, "asgi-uvicorn", wait=WAIT, environ=SHARED),
    ],
    expectations=[
        Expectation("sync_asgi", "throughput", of="queue", at_least=NEAR, users=8, why=AT_ONCE),
        Expectation("sync_asgi", "threads", at_least=int, why=OWN),
        Expectation("sync_asgi", "connections", at_least=lambda n: n / 2, why=UNBOUNDED),
        Expectation(("sync_wsgi", "sync_pool"), "connections", at_most=SIZE, why=LIMIT),
        Expectation("sync_shared_thread", "latency", of="wait", at_least=int, why=TURNS),
        Expectation("sync_shared_thread", "bystander", of="wait", at_least=1, why=BEHIND),
        Expectation(async_native, "throughput", of="queue", at_least=NEAR, users=8, why=AT_ONCE),
        Expectation((async_native, "sync_shared_thread"), "threads", at_most=6, why=FEW),
    ],
)
