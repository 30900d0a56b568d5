"""A pipeline of queries.

Claim: pipeline mode sends a request's queries all at once and saves the round trips between them,
    but Postgres still answers one after another: the sum of the queries is the least.
Blocks: nothing blocks the loop. Without a pipeline each query is sent when the one before has been
    answered, and every query waits for a round trip to Postgres and back.
Instead: `pipeline()` where a query does not need the answer of the one before, sync or async. It
    takes one connection; to run queries at once, take one for each (`gathered-queries`).
"""

from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_pool, pool

COUNT, WAIT, FAR = 5, 0.01, 10  # queries, seconds of each, ms away
SUM, SQL = COUNT * WAIT, "SELECT pg_sleep(%s)"
# One round trip instead of COUNT; half of what it saves is left for what else a request costs.
SAVED = (COUNT - 1) * FAR / 1000
AT_MOST = 1 - 0.5 * SAVED / (SUM + COUNT * FAR / 1000)


def sync(request: HttpRequest) -> JsonResponse:
    with pool().connection() as conn:
        for _ in range(COUNT):
            conn.execute(SQL, [WAIT])
    return JsonResponse({"answers": COUNT})


def sync_pipeline(request: HttpRequest) -> JsonResponse:
    with pool().connection() as conn, conn.pipeline():
        for _ in range(COUNT):
            conn.execute(SQL, [WAIT])  # queued: nothing waits for its answer yet
    return JsonResponse({"answers": COUNT})


async def async_sequential(request: HttpRequest) -> JsonResponse:
    pool = await async_pool()
    async with pool.connection() as conn:
        for _ in range(COUNT):
            await conn.execute(SQL, [WAIT])
    return JsonResponse({"answers": COUNT})


async def async_pipeline(request: HttpRequest) -> JsonResponse:
    pool = await async_pool()
    async with pool.connection() as conn, conn.pipeline():
        for _ in range(COUNT):
            await conn.execute(SQL, [WAIT])  # queued: nothing waits for its answer yet
    return JsonResponse({"answers": COUNT})


comparison = Comparison(
    users=4,
    round_trip=FAR,
    variants=[
        Variant(sync, "wsgi-threads", wait=SUM),
        Variant(sync_pipeline, "wsgi-threads", wait=SUM),
        Variant(async_sequential, "asgi-uvicorn", wait=SUM),
        Variant(async_pipeline, "asgi-uvicorn", wait=SUM),
    ],
    expectations=[
        Expectation((sync_pipeline, async_pipeline), "latency", of="wait", at_least=1),
        Expectation(sync_pipeline, "latency", of=sync, at_most=AT_MOST),
        Expectation(async_pipeline, "latency", of=async_sequential, at_most=AT_MOST),
    ],
)
