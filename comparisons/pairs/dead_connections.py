"""Postgres restarts.

Claim: connections that are kept are dead after a restart of Postgres, and each fails one request;
    with a check before they are used (`CONN_HEALTH_CHECKS`, the pool's `check`) none fails.
Blocks: nothing. A check is a round trip to Postgres more, for each request that queries.
Instead: the check, where Postgres is near; or a connection per request, which is dearer still
    (`connection-per-request`).
"""

from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_pool, async_upstream, upstream

WAIT_MS, USERS = 50, 4


def query() -> None:
    """Query through Django's connection of the calling thread."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def sync(request: HttpRequest) -> JsonResponse:
    upstream().get(f"/wait/{WAIT_MS}")
    query()
    return JsonResponse({"ok": True})


async def async_orm(request: HttpRequest) -> JsonResponse:
    await async_upstream().get(f"/wait/{WAIT_MS}")
    await sync_to_async(query)()
    return JsonResponse({"ok": True})


async def async_native(request: HttpRequest) -> JsonResponse:
    await async_upstream().get(f"/wait/{WAIT_MS}")
    pool = await async_pool()
    async with pool.connection() as conn:
        await conn.execute("SELECT 1")
    return JsonResponse({"ok": True})


MAY: dict[str, Any] = {"may_fail": True}
CHECKED = MAY | {"environ": {"CONN_HEALTH_CHECKS": "1"}}
NAMES = [f"{view.__name__}_checked" for view in (sync, async_orm, async_native)]
KEPT = "Who gets a dead connection fails; it is replaced then, and there are no more than users."
TRIED = "One that does not answer the check is replaced before anybody has noticed."
comparison = Comparison(
    users=USERS,
    connections_end=True,
    variants=[
        Variant(sync, "wsgi-threads", threads=USERS, pitfall=True, **MAY),  # pitfall: kept
        Variant(sync, "wsgi-threads", threads=USERS, name=NAMES[0], **CHECKED),
        Variant(async_orm, "asgi-uvicorn", pitfall=True, **MAY),  # pitfall: kept in Django's pool
        Variant(async_orm, "asgi-uvicorn", name=NAMES[1], **CHECKED),
        Variant(async_native, "asgi-uvicorn", pitfall=True, **MAY),  # pitfall: kept in a pool
        Variant(async_native, "asgi-uvicorn", name=NAMES[2], **CHECKED),
    ],
    expectations=[
        Expectation((sync, async_orm, async_native), "failed", between=(1, USERS), why=KEPT),
        Expectation(tuple(NAMES), "failures", at_most=0, why=TRIED),
    ],
)
