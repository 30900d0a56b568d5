"""More gets at once than redis-py's pool has connections.

Claim: gathered commands take a connection each, of the 100 that redis-py's pool has by default; the
    101st at the same time fails with `MaxConnectionsError: Too many connections`.
Blocks: nothing waits, which is the fault: the pool raises, and the server, which would take
    thousands, is not asked. `BlockingConnectionPool` waits: connections / round trip gets a second.
Instead: one command for many keys (`mget`), or a pipeline for many commands: a connection and a
    round trip for all of them. A pool that waits is for what nobody can ask together.
"""

import asyncio

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from redis.asyncio import BlockingConnectionPool, Redis

from comparisons.recipe import of_running_loop
from comparisons.registry import NEAR, Comparison, Expectation, Variant
from comparisons.resources import async_redis, redis_client

KEYS = [f"redis-pool-comparison:{number}" for number in range(30)]  # none is there: a cold cache
FAR, CONNECTIONS = 40, 30  # ms; so few that they are the limit, and not the CPU
WAIT = len(KEYS) * FAR / CONNECTIONS / 1000  # seconds in which they do a request's gets


def open_blocking() -> Redis:
    pool = BlockingConnectionPool.from_url(settings.REDIS_URL, max_connections=CONNECTIONS)
    return Redis.from_pool(pool)


def sync(request: HttpRequest) -> JsonResponse:
    values = redis_client().mget(KEYS)
    return JsonResponse({"values": values})


async def async_gather(request: HttpRequest) -> JsonResponse:
    values = await asyncio.gather(*map(async_redis().get, KEYS))  # pitfall: a connection each
    return JsonResponse({"values": values})


async def async_blocking_pool(request: HttpRequest) -> JsonResponse:
    redis = of_running_loop(open_blocking, Redis.aclose)
    values = await asyncio.gather(*map(redis.get, KEYS))
    return JsonResponse({"values": values})


async def async_pipeline(request: HttpRequest) -> JsonResponse:
    async with async_redis().pipeline(transaction=False) as pipeline:
        for key in KEYS:
            pipeline.get(key)
        values = await pipeline.execute()
    return JsonResponse({"values": values})


async def async_mget(request: HttpRequest) -> JsonResponse:
    values = await async_redis().mget(KEYS)
    return JsonResponse({"values": values})


TOGETHER = (sync, async_pipeline, async_mget)
FIT = "Three requests fit into 100 connections; the fourth fails, again and again: a quarter."
LAW = "CONNECTIONS do one get each in a round trip; whoever finds none waits, and none fails."
ONE = "One round trip for all keys, whatever the colour: four users take four connections at most."
comparison = Comparison(
    users=4,
    round_trip=FAR,
    variants=[
        Variant(sync, "wsgi-threads", wait=FAR / 1000),
        Variant(async_gather, "asgi-uvicorn", pitfall=True, may_fail=True),
        Variant(async_blocking_pool, "asgi-uvicorn", wait=WAIT, slots=1, may_fail=True),
        Variant(async_pipeline, "asgi-uvicorn", wait=FAR / 1000),
        Variant(async_mget, "asgi-uvicorn", wait=FAR / 1000),
    ],
    expectations=[
        Expectation(async_gather, "failures", at_least=0.25, users=4, why=FIT),
        Expectation(async_blocking_pool, "failures", at_most=0, users=4, why=LAW),
        Expectation(async_blocking_pool, "throughput", of="ceiling", at_least=NEAR, why=LAW),
        Expectation(TOGETHER, "throughput", of="ceiling", at_least=NEAR, users=4, why=ONE),
    ],
)
