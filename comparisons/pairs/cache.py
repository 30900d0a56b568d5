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


comparison = Comparison(
    users=4,
    round_trip=(0, 1, FAR),
    variants=[
        Variant(sync, "wsgi-threads"),
        Variant(async_blocking, "asgi-uvicorn", pitfall=True),
        Variant(async_native, "asgi-uvicorn"),
    ],
    expectations=[
        # Where does blocking start to lose? It costs the loop the round trip; awaiting costs it the
        # async client's own work instead. At 0 ms both are a tenth of a ms or two, beside more than
        # a ms for the request: no difference, but for what the two clients cost.
        Expectation(
            async_blocking, "throughput", of=async_native, between=(0.8, 1.25), round_trip=0
        ),
        # A ms is more than those tenths. Beside the 1 to 2 ms that a request costs in CPU it is a
        # third or a half; a tenth is asked for.
        Expectation(async_native, "throughput", of=async_blocking, at_least=1.1, round_trip=1),
        # One after another they get 1 / (FAR + CPU) requests a second; together, or each in a
        # thread, `users` times that as far as the CPU goes. Half is left for the CPU.
        Expectation(
            (async_native, sync),
            "throughput",
            of=async_blocking,
            at_least=lambda users: users / 2,
            round_trip=FAR,
        ),
        # Whoever comes waits for the answer that the loop waits for, and for those queued before.
        Expectation(async_blocking, "bystander", at_least=FAR, round_trip=FAR),
        Expectation(async_native, "bystander", of=async_blocking, at_most=0.5, round_trip=FAR),
    ],
)
