"""Awaits in stages.

Claim: stages, all calls of one before any of the next, are the simplest way to chain dependent
    calls; the request then waits for the slowest call of each stage.
Blocks: nothing blocks the event loop; the request alone waits, longer than its calls require.
Instead: start each call as soon as what it needs is there, where it matters: see dependent-awaits.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from django.http import HttpRequest, JsonResponse

from comparisons.registry import SAME, Comparison, Expectation, Variant
from comparisons.resources import async_upstream, upstream

# Orders and terms need the customer, here to know how long to wait; the rates need nothing.
CUSTOMER_MS = 25
ORDERS_MS = 2 * CUSTOMER_MS
TERMS_MS = CUSTOMER_MS
RATES_MS = 50
CRITICAL_PATH = max(CUSTOMER_MS + max(ORDERS_MS, TERMS_MS), RATES_MS) / 1000
STAGES = (max(CUSTOMER_MS, RATES_MS) + max(ORDERS_MS, TERMS_MS)) / 1000
SUM = (CUSTOMER_MS + ORDERS_MS + TERMS_MS + RATES_MS) / 1000


def sync(request: HttpRequest) -> JsonResponse:
    customer = upstream().get(f"/wait/{CUSTOMER_MS}").json()
    rates = upstream().get(f"/wait/{RATES_MS}").json()
    orders = upstream().get(f"/wait/{2 * customer['waited_ms']}").json()
    terms = upstream().get(f"/wait/{customer['waited_ms']}").json()
    return JsonResponse({"answers": [orders, terms, rates]})


def sync_stages(request: HttpRequest) -> JsonResponse:
    get = upstream().get
    with ThreadPoolExecutor(2) as threads:
        customer, rates = threads.map(get, [f"/wait/{CUSTOMER_MS}", f"/wait/{RATES_MS}"])
        ms = customer.json()["waited_ms"]
        orders, terms = threads.map(get, [f"/wait/{2 * ms}", f"/wait/{ms}"])
    return JsonResponse({"answers": [orders.json(), terms.json(), rates.json()]})


async def async_stages(request: HttpRequest) -> JsonResponse:
    get = async_upstream().get
    customer, rates = await asyncio.gather(get(f"/wait/{CUSTOMER_MS}"), get(f"/wait/{RATES_MS}"))
    ms = customer.json()["waited_ms"]
    orders, terms = await asyncio.gather(get(f"/wait/{2 * ms}"), get(f"/wait/{ms}"))
    return JsonResponse({"answers": [orders.json(), terms.json(), rates.json()]})


async def async_by_dependency(request: HttpRequest) -> JsonResponse:
    get = async_upstream().get
    async with asyncio.TaskGroup() as group:
        rates = group.create_task(get(f"/wait/{RATES_MS}"))
        ms = (await get(f"/wait/{CUSTOMER_MS}")).json()["waited_ms"]
        terms = group.create_task(get(f"/wait/{ms}"))
        orders = await get(f"/wait/{2 * ms}")
    return JsonResponse({"answers": [orders.json(), terms.result().json(), rates.result().json()]})


TWO_THIRDS = "STAGES / SUM is two thirds; a fifth of it is left for the costs."
NO_STAGE = "CRITICAL_PATH / STAGES is three quarters; half of the gain is left for the costs."
THREADS = "Threads wait in stages as well as a loop does."
comparison = Comparison(
    users=3,
    variants=[
        Variant(sync, "wsgi-threads", wait=SUM),
        Variant(sync_stages, "wsgi-threads", wait=STAGES),
        Variant(async_stages, "asgi-uvicorn", wait=STAGES),
        Variant(async_by_dependency, "asgi-uvicorn", wait=CRITICAL_PATH),
    ],
    expectations=[
        Expectation(async_stages, "latency", of=sync, at_most=0.8, why=TWO_THIRDS),
        Expectation(async_by_dependency, "latency", of=async_stages, at_most=0.875, why=NO_STAGE),
        Expectation(sync_stages, "latency", of=async_stages, between=SAME, users=3, why=THREADS),
    ],
)
