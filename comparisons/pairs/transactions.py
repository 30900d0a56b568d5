"""Transactions in an async view.

Claim: an async view has transactions at the price of a sync one: in one thread, or psycopg's own.
Blocks: nothing. Django cancels the view of a client who leaves; what it wrote stays written.
Instead: `atomic` in one sync function, in one `sync_to_async`: nothing stops a thread, and the
    money is moved. Or psycopg's `transaction()`: cancelled with the view, it leaves nothing behind.
"""

from itertools import cycle

from asgiref.sync import sync_to_async
from django.db import connection, transaction
from django.db.models import F
from django.http import HttpRequest, JsonResponse

from comparisons.models import Account
from comparisons.registry import SAME, Comparison, Expectation, Variant
from comparisons.resources import async_pool

WAIT, CENTS, SLEEP = 0.1, 1, "SELECT pg_sleep(%s)"
ADD = "UPDATE comparisons_account SET balance_cents = balance_cents + %s WHERE id = %s"
PAIRS = cycle([(first, first + 1) for first in range(1, 1000, 2)])  # of accounts; no two collide


def sleep() -> None:
    with connection.cursor() as cursor:
        cursor.execute(SLEEP, [WAIT])


def move(payer: int, payee: int) -> None:
    with transaction.atomic():
        Account.objects.filter(id=payer).update(balance_cents=F("balance_cents") - CENTS)
        sleep()
        Account.objects.filter(id=payee).update(balance_cents=F("balance_cents") + CENTS)


def sync(request: HttpRequest) -> JsonResponse:
    move(*next(PAIRS))
    return JsonResponse({"moved": CENTS})


async def async_two_calls(request: HttpRequest) -> JsonResponse:
    payer, payee = next(PAIRS)
    await Account.objects.filter(id=payer).aupdate(balance_cents=F("balance_cents") - CENTS)
    await sync_to_async(sleep)()  # pitfall: who leaves now leaves the money nowhere
    await Account.objects.filter(id=payee).aupdate(balance_cents=F("balance_cents") + CENTS)
    return JsonResponse({"moved": CENTS})


async def async_atomic(request: HttpRequest) -> JsonResponse:
    await sync_to_async(move)(*next(PAIRS))
    return JsonResponse({"moved": CENTS})


async def async_native(request: HttpRequest) -> JsonResponse:
    payer, payee = next(PAIRS)
    pool = await async_pool()
    async with pool.connection() as conn, conn.transaction():
        await conn.execute(ADD, [-CENTS, payer])
        await conn.execute(SLEEP, [WAIT])
        await conn.execute(ADD, [CENTS, payee])
    return JsonResponse({"moved": CENTS})


ASYNC = (async_atomic, async_native)
PRICE = "Each waits for as long and commits once, to the same disk: no colour has a dearer one."
RIGHT = "One commit instead of two, one hop instead of three: being right costs nothing."
comparison = Comparison(
    users=10,
    variants=[
        Variant(sync, "wsgi-threads", wait=WAIT),
        Variant(async_two_calls, "asgi-uvicorn", wait=WAIT, pitfall=True),
        Variant(async_atomic, "asgi-uvicorn", wait=WAIT),
        Variant(async_native, "asgi-uvicorn", wait=WAIT),
    ],
    expectations=[
        Expectation(ASYNC, "throughput", of=sync, between=SAME, users=10, why=PRICE),
        Expectation(async_atomic, "throughput", of=async_two_calls, between=SAME, why=RIGHT),
    ],
)
