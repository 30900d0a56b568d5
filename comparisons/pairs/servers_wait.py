"""Which server, for a view that waits.

Claim: a view that only waits is served to all users at once by any server that has a place for
    each: a thread, a greenlet (gevent makes `time.sleep` wait so), or a coroutine. Django's own
    ASGI handler falls short of that by the CPU time that it takes (`request-path`).
Blocks: a sync worker has one place, in which the others' waits come one after the other.
Instead: any other server. What it takes more is memory, and of threads there must be enough.
"""

import asyncio
import time

from django.http import HttpRequest, JsonResponse

from comparisons.every_server import DJANGOS, ONE_SLOT, PLACES, SYNC, WAIT, many_places
from comparisons.registry import NEAR, Comparison, Expectation, Variant


def sync(request: HttpRequest) -> JsonResponse:
    time.sleep(WAIT)
    return JsonResponse({"waited": WAIT})


async def async_native(request: HttpRequest) -> JsonResponse:
    await asyncio.sleep(WAIT)
    return JsonResponse({"waited": WAIT})


ALL = "Everybody waits at once, in threads, greenlets or coroutines: users / WAIT."
TURNS = (
    "Ten waits end together, and each takes 1 ms more of the CPU, in turn (`request-path`): 5 of "
    "50 ms on average, a tenth; half of that is asked."
)
QUEUE = "What is missing is CPU time for all ten, and no place."
ONE = "One slot serves one wait at a time: 1 / WAIT."
comparison = Comparison(
    users=10,
    raw=True,
    variants=[
        Variant(  # pitfall: one wait at a time
            sync, "wsgi-sync", name=ONE_SLOT, workers=1, wait=WAIT, pitfall=True
        ),
        *many_places(sync, async_native, wait=WAIT),
    ],
    expectations=[
        Expectation(
            (*SYNC, "async_direct"), "throughput", of="ceiling", at_least=NEAR, users=10, why=ALL
        ),
        Expectation(DJANGOS, "throughput", of="async_direct", at_most=0.95, users=10, why=TURNS),
        Expectation(PLACES, "throughput", of="queue", at_least=NEAR, users=10, why=QUEUE),
        Expectation(ONE_SLOT, "throughput", of="ceiling", at_most=1, why=ONE),
    ],
)
