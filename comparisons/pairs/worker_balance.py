"""How evenly workers are loaded.

Claim: what worker processes share is connections, not requests: clients that keep theirs stay with
    one worker, and one client more than workers makes one worker at least twice as busy as another.
Blocks: nothing; but clients of the busiest worker share it, whoever else is idle.
Instead: workers that take a request when they are free (sync workers, which keep no connection);
    or many connections, short ones or a proxy's: what chance deals evens out in numbers.
"""

import asyncio
import time
from typing import Any

from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant
from comparisons.work import compute

CPU, WAIT = 0.003, 0.02  # seconds, of a request
WORKERS = 4
USERS = WORKERS + 1
# Connections of the worker that has most over those of the average one: 2 of 5 / 4 at least, and 1
# where all have as many. Which of the two it is says the middle.
KEPT = 2 * WORKERS / USERS
UNEVEN = (1 + KEPT) / 2


def sync(request: HttpRequest) -> JsonResponse:
    compute(CPU)
    time.sleep(WAIT)
    return JsonResponse({"waited": WAIT})


async def async_native(request: HttpRequest) -> JsonResponse:
    compute(CPU)
    await asyncio.sleep(WAIT)
    return JsonResponse({"waited": WAIT})


TAKEN = (
    "A free worker takes whoever waits, answers and hangs up: there is always somebody, and so all "
    "workers answer equally many, but for the one that a window cuts off."
)
STUCK = (
    "Five connections on four workers: one has two of them at least, however the server deals. "
    "(Granian's workers have a socket each, and a hash deals; the others race for one socket.)"
)
FOUR: dict[str, Any] = {"workers": WORKERS, "wait": WAIT + CPU}
KEEPING = ("sync_threads", "sync_granian", "async_native")
comparison = Comparison(
    users=USERS,
    raw=True,  # a bystander's connection would be one more to share
    variants=[
        Variant(sync, "wsgi-sync", name="sync_one_at_a_time", **FOUR),
        Variant(sync, "wsgi-threads", name="sync_threads", **FOUR),
        Variant(sync, "wsgi-granian", name="sync_granian", **FOUR),
        Variant(async_native, "asgi-uvicorn", **FOUR),
    ],
    expectations=[
        Expectation("sync_one_at_a_time", "busiest_worker", at_most=UNEVEN, users=USERS, why=TAKEN),
        Expectation(KEEPING, "busiest_worker", at_least=UNEVEN, users=USERS, why=STUCK),
    ],
)
