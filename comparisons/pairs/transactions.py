"""Transactions in an async view.

Claim: an async view has transactions as a sync one has them, and at the same price, if the whole of
    one runs in one thread or is psycopg's own.
Blocks: nothing blocks. Between two calls of the ORM's async methods a client may go away: Django
    cancels the view at its `await`, and what the first call wrote stays written.
Instead: `atomic` around one sync function, in one `sync_to_async`: nothing stops a thread, so that
    a client who goes away loses the answer, and the money is moved. Or psycopg's `transaction()`:
    it is cancelled with the view, and leaves nothing behind.
"""

from itertools import cycle

from asgiref.sync import sync_to_async
from django.db import connection, transaction
from django.db.models import F
from django.http import HttpRequest, JsonResponse

from comparisons.models import Account
from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_pool

WAIT = 0.1
CENTS = 1
SLEEP = "SELECT pg_sleep(%s)"
ADD = "UPDATE comparisons_account SET balance_cents = balance_cents + %s WHERE id = %s"
# Each request moves money between two accounts that the next five hundred leave alone.
PAIRS = cycle([(first, first + 1) for first in range(1, 1000, 2)])


def sync(request: HttpRequest) -> JsonResponse:
    payer, payee = next(PAIRS)
    move(payer, payee)
    return JsonResponse({"moved": CENTS})


async def async_two_calls(request: HttpRequest) -> JsonResponse:
    payer, payee = next(PAIRS)
    await Account.objects.filter(id=payer).aupdate(balance_cents=F("balance_cents") - CENTS)
    await sync_to_async(sleep)()  # pitfall: who leaves now leaves the money nowhere
    await Account.objects.filter(id=payee).aupdate(balance_cents=F("balance_cents") + CENTS)
    return JsonResponse({"moved": CENTS})


async def async_atomic(request: HttpRequest) -> JsonResponse:
    payer, payee = next(PAIRS)
    await sync_to_async(move)(payer, payee)
    return JsonResponse({"moved": CENTS})


async def async_native(request: HttpRequest) -> JsonResponse:
    payer, payee = next(PAIRS)
    pool = await async_pool()
    async with pool.connection() as of_pool, of_pool.transaction():
        await of_pool.execute(ADD, [-CENTS, payer])
        await of_pool.execute(SLEEP, [WAIT])
        await of_pool.execute(ADD, [CENTS, payee])
    return JsonResponse({"moved": CENTS})


def move(payer: int, payee: int) -> None:
    with transaction.atomic():
        Account.objects.filter(id=payer).update(balance_cents=F("balance_cents") - CENTS)
        sleep()
        Account.objects.filter(id=payee).update(balance_cents=F("balance_cents") + CENTS)


def sleep() -> None:
    """Whatever else takes its time in between."""
    with connection.cursor() as cursor:
        cursor.execute(SLEEP, [WAIT])


comparison = Comparison(
    users=10,
    variants=[
        Variant(sync, "wsgi-threads", wait=WAIT),
        Variant(async_two_calls, "asgi-uvicorn", wait=WAIT, pitfall=True),
        Variant(async_atomic, "asgi-uvicorn", wait=WAIT),
        Variant(async_native, "asgi-uvicorn", wait=WAIT),
    ],
    expectations=[
        # Little's law; a fourth is left for two updates, a commit to disk and Django.
        Expectation(sync, "throughput", of="ceiling", at_least=0.75),
        Expectation(async_atomic, "throughput", of="ceiling", at_least=0.75),
        Expectation(async_native, "throughput", of="ceiling", at_least=0.75),
        # One commit instead of two, one hop instead of three: being right costs nothing.
        Expectation(async_two_calls, "throughput", of=async_atomic, at_most=1.1),
        Expectation(async_native, "throughput", of=sync, between=(0.8, 1.25)),
    ],
)
