"""The size of a pool.

Claim: a pool's throughput is its size divided by the time of a query (Little's law), and so is the
    wait for a connection; a pool larger than the number of those who ask brings nothing.
Blocks: nothing blocks. Who finds no connection free waits in the pool's queue.
Instead: as many connections as queries are to run at once, and no more: Postgres has a process for
    each, and runs no more of them than it has cores, however large the pool (here queries sleep).
"""

from typing import Any

from django.db import connection
from django.http import HttpRequest, JsonResponse

from comparisons.registry import NEAR, SAME, Comparison, Expectation, Variant
from comparisons.resources import async_pool

WAIT, SQL = 0.05, "SELECT pg_sleep(%s)"
SYNC_SIZES, SIZES = (4, 8), (1, 2, 4, 8, 16, 32, 64)
FEW = ("async_1", "async_2", "async_4", "async_8", "sync_4")  # no more than users


def of_size(size: int) -> dict[str, Any]:
    """Return what a variant with a pool of this size declares."""
    return {"wait": WAIT, "slots": size, "environ": {"POOL_SIZE": str(size)}}


def sync(request: HttpRequest) -> JsonResponse:
    with connection.cursor() as cursor:
        cursor.execute(SQL, [WAIT])
    return JsonResponse({"slept": WAIT})


async def async_native(request: HttpRequest) -> JsonResponse:
    pool = await async_pool()
    async with pool.connection() as conn:
        await conn.execute(SQL, [WAIT])
    return JsonResponse({"slept": WAIT})


LITTLE = "By Little's law with connections for slots, if handing one on takes next to nothing."
QUEUE = "The same law: in a closed loop everyone waits for users / size queries, and not less."
POOL = "Of those, all but one's own: users - 1; half is for its start and end."
FREE = "With one for everyone nobody waits; a fifth of a query is left for handing on."
ENOUGH = "A connection for everyone is enough: more of them wait for nobody."
COLOUR = "The law asks how many connections there are, not what colour waits for them."
comparison = Comparison(
    users=8,
    variants=[
        Variant(sync, "wsgi-threads", name=f"sync_{size}", database="pool", **of_size(size))
        for size in SYNC_SIZES
    ]
    + [
        Variant(async_native, "asgi-uvicorn", name=f"async_{size}", **of_size(size))
        for size in SIZES
    ],
    expectations=[
        Expectation(FEW, "throughput", of="ceiling", at_least=NEAR, why=LITTLE),
        Expectation("async_1", "latency", of="wait", at_least=lambda users: users, why=QUEUE),
        Expectation("async_4", "latency", of="wait", at_least=lambda users: users / 4, why=QUEUE),
        Expectation("async_1", "pool_wait", of="wait", at_least=lambda n: (n - 1) / 2, why=POOL),
        Expectation("async_8", "pool_wait", at_most=1000 * WAIT / 5, users=8, why=FREE),
        Expectation("async_64", "throughput", of="async_8", between=SAME, users=8, why=ENOUGH),
        Expectation("sync_4", "throughput", of="async_4", between=SAME, why=COLOUR),
        Expectation("sync_8", "throughput", of="async_8", between=SAME, users=8, why=COLOUR),
    ],
)
