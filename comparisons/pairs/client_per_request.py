"""A new HTTP client for every request.

Claim: `async with AsyncClient()` in a view loads the machine's CA certificates for every request,
    for plain http too (on Linux): CPU time in which the event loop serves nobody.
Blocks: the loop, whose thread makes the client's SSL context. A sync view pays as much, but OpenSSL
    gives up the GIL meanwhile: other threads run on, while there is a core for them.
Instead: one client an event loop, which keeps its connections too. A shared SSL context is half the
    way: each request still connects, a round trip more (with https, two or three).
"""

from functools import cache, partial

import httpx2
from django.conf import settings
from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_upstream, upstream

WAIT_MS, FAR = 10, 20  # ms
WAIT = (FAR + WAIT_MS) / 1000  # seconds of a call on a connection that is there
new_context = partial(httpx2.create_ssl_context, trust_env=False)  # as a client makes its own
shared_context = cache(new_context)


def sync(request: HttpRequest) -> JsonResponse:
    answer = upstream().get(f"{settings.UPSTREAM_URL}/wait/{WAIT_MS}")
    return JsonResponse(answer.json())


def sync_per_request(request: HttpRequest) -> JsonResponse:
    with httpx2.Client(trust_env=False) as client:
        answer = client.get(f"{settings.UPSTREAM_URL}/wait/{WAIT_MS}")
    return JsonResponse(answer.json())


async def async_per_request(request: HttpRequest) -> JsonResponse:
    async with httpx2.AsyncClient(trust_env=False) as client:  # pitfall: loads the certificates
        answer = await client.get(f"{settings.UPSTREAM_URL}/wait/{WAIT_MS}")
    return JsonResponse(answer.json())


async def async_shared_context(request: HttpRequest) -> JsonResponse:
    async with httpx2.AsyncClient(trust_env=False, verify=shared_context()) as client:
        answer = await client.get(f"{settings.UPSTREAM_URL}/wait/{WAIT_MS}")
    return JsonResponse(answer.json())


async def async_shared(request: HttpRequest) -> JsonResponse:
    answer = await async_upstream().get(f"{settings.UPSTREAM_URL}/wait/{WAIT_MS}")
    return JsonResponse(answer.json())


OTHERS = (sync_per_request, async_shared_context, async_shared)
DEAR = "In a thread, too, a request takes the CPU time of the certificates, and its own."
LOADS = "A loop loads the certificates for one client at a time: no more requests than that."
HELD = "Four users keep a loop that loads busy; who comes then waits for half a load on average."
RUNS = "The loop loads nothing, or another thread does, without the GIL, on another core."
TRIPS = "A round trip more than WAIT; all else may take as long as WAIT: at least a third more."
KEPT = "A call on a connection that is there: to connect would take two thirds more."
comparison = Comparison(
    users=4,
    round_trip=FAR,
    work=new_context,
    variants=[
        Variant(sync, "wsgi-threads", wait=WAIT),
        Variant(sync_per_request, "wsgi-threads"),
        Variant(async_per_request, "asgi-uvicorn", cpu=True, pitfall=True),
        Variant(async_shared_context, "asgi-uvicorn"),
        Variant(async_shared, "asgi-uvicorn", wait=WAIT),
    ],
    expectations=[
        Expectation(sync_per_request, "cpu_per_request", of="work", at_least=1, why=DEAR),
        Expectation(async_per_request, "throughput", of="ceiling", at_most=1, why=LOADS),
        Expectation(async_per_request, "bystander", of="work", at_least=0.5, users=4, why=HELD),
        Expectation(OTHERS, "bystander", of="work", at_most=0.5, users=4, why=RUNS),
        Expectation(async_shared_context, "latency", of=async_shared, at_least=1.33, why=TRIPS),
        Expectation((sync, async_shared), "latency", of="wait", at_most=1.67, users=4, why=KEPT),
    ],
)
