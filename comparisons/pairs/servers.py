"""Which server.

Claim: a page that mostly waits needs a server with a place for each user; which one comes second.
    They differ in what a request costs in CPU time, memory and connections, which the table shows.
Blocks: a server with fewer slots than users makes the rest wait: a sync worker has one.
Instead: any of the others, by what the page does (`gevent`), and a process a core (`workers`).
"""

import time

from django.http import HttpRequest, JsonResponse

from comparisons.models import Customer
from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_upstream, upstream

CPU, WAIT_MS = 0.005, 50
PAGE = CPU + WAIT_MS / 1000  # seconds, at least
USERS, SLOTS = 4, 20  # threads of a server, or connections of a pool


def slowest(users: int) -> float:  # seconds, where all compute before it
    return WAIT_MS / 1000 + 3 * users * CPU


def compute() -> None:
    end = time.thread_time() + CPU
    while time.thread_time() < end:
        pass


def sync(request: HttpRequest) -> JsonResponse:
    customer = Customer.objects.get(id=1)
    waited = upstream().get(f"/wait/{WAIT_MS}").json()
    compute()
    return JsonResponse({"name": customer.name, **waited})


async def async_native(request: HttpRequest) -> JsonResponse:
    customer = await Customer.objects.aget(id=1)
    answer = await async_upstream().get(f"/wait/{WAIT_MS}")
    compute()
    return JsonResponse({"name": customer.name, **answer.json()})


QUEUE = "At worst each waits for what all compute, and as long again for Django, and the server."
ONE = "One slot serves one page at a time, where the others serve at least what is said of them."
BOUNDED = "A thread keeps one connection, a pool has its limit, and no server leaves any behind."
ONE_SLOT, SYNC = "sync_one_at_a_time", ("sync_threads", "sync_gevent", "sync_granian")
ASYNC = ("async_uvicorn", "async_gunicorn", "async_granian", "async_direct")
PLACES = (*SYNC, *ASYNC)
comparison = Comparison(
    users=USERS,
    raw=True,  # it leaves more of the cores to the servers
    variants=[
        Variant(  # pitfall: one process, one page at a time
            sync, "wsgi-sync", name=ONE_SLOT, workers=1, wait=PAGE, pitfall=True
        ),
        Variant(sync, "wsgi-threads", name="sync_threads", wait=PAGE),
        Variant(sync, "wsgi-gevent", name="sync_gevent", wait=PAGE),
        Variant(sync, "wsgi-granian", name="sync_granian", wait=PAGE),
        Variant(async_native, "asgi-uvicorn", name="async_uvicorn", wait=PAGE),
        Variant(async_native, "asgi-gunicorn", name="async_gunicorn", wait=PAGE),
        Variant(async_native, "asgi-granian", name="async_granian", wait=PAGE),
        Variant(async_native, "asgi-uvicorn-direct", name="async_direct", wait=PAGE),
    ],
    expectations=[
        Expectation(
            PLACES, "throughput", of="ceiling", at_least=lambda n: PAGE / slowest(n), why=QUEUE
        ),
        Expectation(
            ONE_SLOT,
            "throughput",
            of="sync_threads",
            at_most=lambda n: slowest(n) / PAGE / n,
            why=ONE,
        ),
        Expectation(PLACES, "connections", at_most=SLOTS, why=BOUNDED),
    ],
)
