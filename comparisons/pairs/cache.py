"""A cache's client.

Claim: a sync client's `cache.set` is a network call and blocks.
Blocks: `redis_client().set` waits for Redis's answer in the event loop's thread. How long is a
    matter of distance: on the same machine no longer than what an async client has to do more.
Instead: the client's async twin (`redis.asyncio`); where there is none, a thread: see django-cache.
"""

from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_redis, redis_client

KEY = "cache-comparison"
VALUE = "result"
EXPIRY = 60  # seconds
FAR = 10  # ms


def sync(request: HttpRequest) -> JsonResponse:
    redis_client().set(KEY, VALUE, ex=EXPIRY)
    return JsonResponse({"cached": VALUE})


async def async_blocking(request: HttpRequest) -> JsonResponse:
    redis_client().set(KEY, VALUE, ex=EXPIRY)  # pitfall: no linter knows that it waits
    return JsonResponse({"cached": VALUE})


async def async_native(request: HttpRequest) -> JsonResponse:
    await async_redis().set(KEY, VALUE, ex=EXPIRY)
    return JsonResponse({"cached": VALUE})


NEARBY = "Nobody waits at 0 ms: the clients differ by tenths of a ms of CPU time, a fifth of all."
A_MS = "A round trip of 1 ms is a third of what a request takes in CPU; a tenth is asked for."
TOGETHER = "One by one they serve 1 / round trip, together as many times that as there are users."
HELD = "Whoever comes waits for the answer that the loop waits for, and for those who came before."
FREE = "A loop that awaits is free; half is left for a bystander's own request."
comparison = Comparison(
    users=4,
    round_trip=(0, 1, FAR),
    variants=[
        Variant(sync, "wsgi-threads"),
        Variant(async_blocking, "asgi-uvicorn", pitfall=True),
        Variant(async_native, "asgi-uvicorn"),
    ],
    expectations=[
        Expectation(
            async_blocking,
            "cpu_per_request",
            of=async_native,
            between=(0.8, 1.25),
            round_trip=0,
            why=NEARBY,
        ),
        Expectation(
            async_native,
            "throughput",
            of=async_blocking,
            at_least=1.1,
            users=4,
            round_trip=1,
            why=A_MS,
        ),
        Expectation(
            (async_native, sync),
            "throughput",
            of=async_blocking,
            at_least=lambda users: users / 2,  # half is left for the CPU time
            round_trip=FAR,
            why=TOGETHER,
        ),
        Expectation(async_blocking, "bystander", at_least=FAR, users=4, round_trip=FAR, why=HELD),
        Expectation(
            async_native, "bystander", of=async_blocking, at_most=0.5, round_trip=FAR, why=FREE
        ),
    ],
)
