"""ATOMIC_REQUESTS and views that wait.

Claim: with `ATOMIC_REQUESTS` a sync view holds a transaction through every wait, and what it has
    written stays locked: who writes the same row takes turns. Async views are refused.
Blocks: nothing blocks the loop. The others wait for the lock, each with a connection and a
    transaction of its own.
Instead: `non_atomic_requests`, and `atomic` around the writes only (in an async view they are one
    function, in one `sync_to_async`). What fails afterwards undoes nothing any more.
"""

from typing import Any

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import F
from django.http import HttpRequest, JsonResponse

from comparisons.models import Account
from comparisons.registry import NEAR, Comparison, Expectation, Variant
from comparisons.resources import async_upstream, upstream

WAIT_MS, CENTS, PAYER, PAYEE = 100, 1, 1, 2
ATOMIC: dict[str, Any] = {"wait": WAIT_MS / 1000, "environ": {"ATOMIC_REQUESTS": "1"}}


@transaction.atomic
def move() -> None:
    Account.objects.filter(id=PAYER).update(balance_cents=F("balance_cents") - CENTS)
    Account.objects.filter(id=PAYEE).update(balance_cents=F("balance_cents") + CENTS)


def sync_in_transaction(request: HttpRequest) -> JsonResponse:
    move()
    upstream().get(f"/wait/{WAIT_MS}")  # pitfall: both rows are locked until the request's end
    return JsonResponse({"moved": CENTS})


@transaction.non_atomic_requests
def sync_committed(request: HttpRequest) -> JsonResponse:
    move()
    upstream().get(f"/wait/{WAIT_MS}")
    return JsonResponse({"moved": CENTS})


async def async_refused(request: HttpRequest) -> JsonResponse:  # pitfall: it is never called
    await sync_to_async(move)()
    await async_upstream().get(f"/wait/{WAIT_MS}")
    return JsonResponse({"moved": CENTS})


@transaction.non_atomic_requests
async def async_committed(request: HttpRequest) -> JsonResponse:
    await sync_to_async(move)()
    await async_upstream().get(f"/wait/{WAIT_MS}")
    return JsonResponse({"moved": CENTS})


COMMITTED = (sync_committed, async_committed)
REFUSED = "With ATOMIC_REQUESTS Django answers 500 to all; a few answers can't show more than this."
SERVED = "A view that says so is called as it is: it has no transaction, and asks for one itself."
TURNS = "The rows are locked from `move` to the request's end: one request waits at a time (slots)."
OPEN = "Who waits has one open; who is between two requests has none: half of the users is asked."
AT_ONCE = "The rows are free before the wait, so all wait at once; CPU time alone is shared."
comparison = Comparison(
    users=8,
    variants=[
        Variant(sync_in_transaction, "wsgi-threads", slots=1, pitfall=True, **ATOMIC),
        Variant(sync_committed, "wsgi-threads", **ATOMIC),
        Variant(async_refused, "asgi-uvicorn", pitfall=True, may_fail=True, **ATOMIC),
        Variant(async_committed, "asgi-uvicorn", may_fail=True, **ATOMIC),
    ],
    expectations=[
        Expectation(sync_in_transaction, "throughput", of="ceiling", at_most=1, why=TURNS),
        Expectation(sync_in_transaction, "transactions", at_least=lambda n: n / 2, why=OPEN),
        Expectation(async_refused, "failures", at_least=0.95, why=REFUSED),
        Expectation(async_committed, "failures", at_most=0, users=8, why=SERVED),
        Expectation(COMMITTED, "throughput", of="queue", at_least=NEAR, users=8, why=AT_ONCE),
    ],
)
