"""Dependent awaits.

Claim: a call that needs another's result must be chained after it; which calls run concurrently is
    to be chosen by thinking, not by banning one `await` after another.
Blocks: nothing blocks the event loop; the request alone waits, longer than its calls require.
Instead: start each call as soon as what it needs is there. The request then waits for its critical
    path: the longest chain of calls that do need each other.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from django.http import HttpRequest, JsonResponse

from comparisons.registry import NEAR, SAME, Comparison, Expectation, Variant
from comparisons.resources import async_upstream, upstream

# Orders and terms need the customer, here to know how long to wait; the rates need nothing.
CUSTOMER_MS, RATES_MS = 25, 50
ORDERS_MS, TERMS_MS = 2 * CUSTOMER_MS, CUSTOMER_MS
SUM = (CUSTOMER_MS + ORDERS_MS + TERMS_MS + RATES_MS) / 1000
CRITICAL_PATH = max(CUSTOMER_MS + max(ORDERS_MS, TERMS_MS), RATES_MS) / 1000


def sync(request: HttpRequest) -> JsonResponse:
    customer = upstream().get(f"/wait/{CUSTOMER_MS}").json()
    orders = upstream().get(f"/wait/{2 * customer['waited_ms']}").json()
    terms = upstream().get(f"/wait/{customer['waited_ms']}").json()
    rates = upstream().get(f"/wait/{RATES_MS}").json()
    return JsonResponse({"answers": [orders, terms, rates]})


def sync_threads(request: HttpRequest) -> JsonResponse:
    with ThreadPoolExecutor(2) as threads:
        rates = threads.submit(upstream().get, f"/wait/{RATES_MS}")
        customer = upstream().get(f"/wait/{CUSTOMER_MS}").json()
        terms = threads.submit(upstream().get, f"/wait/{customer['waited_ms']}")
        orders = upstream().get(f"/wait/{2 * customer['waited_ms']}").json()
    return JsonResponse({"answers": [orders, terms.result().json(), rates.result().json()]})


async def async_sequential(request: HttpRequest) -> JsonResponse:
    customer = (await async_upstream().get(f"/wait/{CUSTOMER_MS}")).json()
    orders = (await async_upstream().get(f"/wait/{2 * customer['waited_ms']}")).json()
    terms = (await async_upstream().get(f"/wait/{customer['waited_ms']}")).json()
    rates = (await async_upstream().get(f"/wait/{RATES_MS}")).json()  # pitfall: needs no other
    return JsonResponse({"answers": [orders, terms, rates]})


async def async_by_dependency(request: HttpRequest) -> JsonResponse:
    async with asyncio.TaskGroup() as group:
        rates = group.create_task(async_upstream().get(f"/wait/{RATES_MS}"))
        customer = (await async_upstream().get(f"/wait/{CUSTOMER_MS}")).json()
        terms = group.create_task(async_upstream().get(f"/wait/{customer['waited_ms']}"))
        orders = (await async_upstream().get(f"/wait/{2 * customer['waited_ms']}")).json()
    return JsonResponse({"answers": [orders, terms.result().json(), rates.result().json()]})


CHAINED = "Chained, a request waits for the sum of its calls, as sync code does."
CRITICAL = "Nothing is quicker than its critical path; all else is awaited meanwhile."
A_HALF = "CRITICAL_PATH / SUM is a half; a fifth of it is left for what four calls cost."
THREADS = "Threads can be chosen for by thinking, too."
comparison = Comparison(
    users=3,
    variants=[
        Variant(sync, "wsgi-threads", wait=SUM),
        Variant(sync_threads, "wsgi-threads", wait=CRITICAL_PATH),
        Variant(async_sequential, "asgi-uvicorn", wait=SUM, pitfall=True),
        Variant(async_by_dependency, "asgi-uvicorn", wait=CRITICAL_PATH),
    ],
    expectations=[
        Expectation(async_sequential, "throughput", of="ceiling", at_least=NEAR, why=CHAINED),
        Expectation(async_sequential, "latency", of=sync, between=SAME, users=3, why=CHAINED),
        Expectation(async_by_dependency, "throughput", of="ceiling", at_least=NEAR, why=CRITICAL),
        Expectation(async_by_dependency, "latency", of=async_sequential, at_most=0.6, why=A_HALF),
        Expectation(
            sync_threads, "latency", of=async_by_dependency, between=SAME, users=3, why=THREADS
        ),
    ],
)
