"""Which server, for a usual page.

Claim: a page that mostly waits needs a place for each user; which server has them comes second.
    They differ in what a request costs in CPU time, memory and connections, which the table shows.
Blocks: a server with fewer slots than users makes the rest wait: a sync worker has one.
Instead: any of the others, by what the page does (`gevent`), and a process a core (`workers`).
"""

from typing import Any

from django.http import HttpRequest, JsonResponse

from comparisons.every_server import CPU, ONE_SLOT, PLACES, WAIT, many_places
from comparisons.models import Customer
from comparisons.registry import NEAR, Comparison, Expectation, Variant
from comparisons.resources import async_upstream, upstream
from comparisons.work import compute

WAIT_MS = round(1000 * WAIT)
PAGE = CPU + WAIT  # seconds, at least


def sync(request: HttpRequest) -> JsonResponse:
    customer = Customer.objects.get(id=1)
    waited = upstream().get(f"/wait/{WAIT_MS}").json()
    compute(CPU)
    return JsonResponse({"name": customer.name, **waited})


async def async_native(request: HttpRequest) -> JsonResponse:
    customer = await Customer.objects.aget(id=1)
    answer = await async_upstream().get(f"/wait/{WAIT_MS}")
    compute(CPU)
    return JsonResponse({"name": customer.name, **answer.json()})


GIVEN: dict[str, Any] = {"wait": PAGE, "database": "none"}  # Django's default: one a request
QUEUE = "All wait at once, and then compute in turn: nobody lacks a place, a connection or a lock."
ONE = "One slot serves one page at a time."
FEW = (
    "The others serve users / (PAGE + users × CPU time) at least, and what Django and the server "
    "take is less than the page's own CPU time (`servers-query`)."
)
LEFT = (
    "Each request has a connection, and that of the one before may still be ending. Were they left "
    "behind, there would be one more with every page."
)
comparison = Comparison(
    users=8,  # who compute for longer together than Postgres takes to accept a connection
    raw=True,  # it leaves more of the cores to the servers
    variants=[
        Variant(  # pitfall: one page at a time
            sync, "wsgi-sync", name=ONE_SLOT, workers=1, pitfall=True, **GIVEN
        ),
        *many_places(sync, async_native, **GIVEN),
    ],
    expectations=[
        Expectation(PLACES, "throughput", of="queue", at_least=NEAR, users=8, why=QUEUE),
        Expectation(ONE_SLOT, "throughput", of="ceiling", at_most=1, why=ONE),
        Expectation(
            ONE_SLOT,
            "throughput",
            of="sync_threads",
            at_most=lambda n: 1 / n + 2 * CPU / PAGE,
            why=FEW,
        ),
        Expectation((ONE_SLOT, *PLACES), "connections", at_most=lambda n: 2 * n, why=LEFT),
    ],
)
