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


ONE_BY_ONE = SUM + COUNT * FAR / 1000  # seconds
SAVED = (COUNT - 1) * FAR / 1000
BETWEEN = SUM / ONE_BY_ONE, 1 - SAVED / 2 / ONE_BY_ONE
WHY = (
    "At least half of the four round trips is saved, the rest is left for what else a request "
    "costs; but less than the sum of the queries would mean that Postgres ran them at once."
)
comparison = Comparison(
    users=4,
    round_trip=FAR,
    variants=[
        Variant(sync, "wsgi-threads", wait=SUM),
        Variant(sync_pipeline, "wsgi-threads"),
        Variant(async_sequential, "asgi-uvicorn", wait=SUM),
        Variant(async_pipeline, "asgi-uvicorn"),
    ],
    expectations=[
        Expectation(sync_pipeline, "latency", of=sync, between=BETWEEN, why=WHY),
        Expectation(async_pipeline, "latency", of=async_sequential, between=BETWEEN, why=WHY),
    ],
)
