"""Django's cache in an async view.

Claim: not every client has an async twin, or only with another interface; and Django's `aset` is
    not one: it is `set` in a thread.
Blocks: nothing blocks the loop, but Django's cache belongs to a thread or a context, and under ASGI
    every request has a context of its own: each opens a connection, which takes round trips.
Instead: `sync_to_async` with a client that all requests share, or an async client.
"""

from asgiref.sync import sync_to_async
from django.core.cache import cache
from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_redis, redis_client

KEY = "django-cache-comparison"
VALUE = "result"
EXPIRY = 60  # seconds
FAR = 10  # ms


def sync(request: HttpRequest) -> JsonResponse:
    cache.set(KEY, VALUE, timeout=EXPIRY)
    return JsonResponse({"cached": VALUE})


async def async_django(request: HttpRequest) -> JsonResponse:
    await cache.aset(KEY, VALUE, timeout=EXPIRY)
    return JsonResponse({"cached": VALUE})


async def async_threaded(request: HttpRequest) -> JsonResponse:
    await sync_to_async(redis_client().set)(KEY, VALUE, ex=EXPIRY)
    return JsonResponse({"cached": VALUE})


async def async_native(request: HttpRequest) -> JsonResponse:
    await async_redis().set(KEY, VALUE, ex=EXPIRY)
    return JsonResponse({"cached": VALUE})


CONNECTS = (
    "Connecting takes two round trips beside that of `set`; half of them is left for the CPU."
)
A_HOP = "A thread that keeps its connection waits as a loop does; a fifth is left for the hop."
comparison = Comparison(
    users=4,
    round_trip=FAR,
    variants=[
        Variant(sync, "wsgi-threads"),
        Variant(async_django, "asgi-uvicorn"),
        Variant(async_threaded, "asgi-uvicorn"),
        Variant(async_native, "asgi-uvicorn"),
    ],
    expectations=[
        Expectation(async_django, "latency", of=async_threaded, at_least=1.5, why=CONNECTS),
        Expectation(async_threaded, "latency", of=async_native, at_most=1.25, why=A_HOP),
        Expectation(sync, "latency", of=async_threaded, at_most=1.25, why=A_HOP),
    ],
)
