"""The floor: what a request costs where there is no Django.

Two ASGI applications for `request-path`, `many-waiting` and `uploads`, which uvicorn serves in
place of `project.asgi`: one that does nothing but answer, and one on Starlette, a framework that is
async only. They answer as the project does: the same body, and the header that says who answered.
"""

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from comparisons.recipe import with_lifespan
from comparisons.resources import async_pool, lasting

HEADER = b"x-deployment"  # as in project/middleware.py, which this package does not know
WHO = f"{settings.DEPLOYMENT} {settings.DEPLOYMENT_NONCE}".encode()
BODY = b'{"ok": true}'
POINT_QUERY, ID = "SELECT id = %s FROM comparisons_customer WHERE id = %s", 1


async def async_plain(scope: Any, receive: Any, send: Any) -> Any:
    """Answer, and wait before it if asked to (`?seconds=`); there are no pools to ask about."""
    if asked := parse_qs(scope["query_string"]).get(b"seconds"):
        await asyncio.sleep(float(asked[0]))
    status = 404 if scope["path"] == "/pools/" else 200
    headers = [
        (HEADER, WHO),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(BODY)),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


async def async_starlette(request: Request) -> Any:
    return json_response({"ok": True})


async def async_starlette_query(request: Request) -> Any:
    pool = await async_pool()
    async with pool.connection() as conn:
        ((ok,),) = await (await conn.execute(POINT_QUERY, [ID, ID])).fetchall()
    return json_response({"ok": ok})


async def async_streaming(request: Request) -> Any:
    size = 0
    async for piece in request.stream():  # as it comes
        size += len(piece)
    return json_response({"whole": size == int(request.headers.get("Content-Length") or 0)})


def json_response(data: Any) -> Response:
    """Return a response with the bytes of Django's `JsonResponse`; Starlette's have no spaces."""
    return Response(json.dumps(data), media_type="application/json")


class DeploymentHeader:
    """What project/middleware.py is to Django."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with_header(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((HEADER, WHO))
            await send(message)

        await self._app(scope, receive, send_with_header)


plain = with_lifespan(async_plain)
starlette = Starlette(
    routes=[
        Route("/request-path/async_starlette/", async_starlette),
        Route("/request-path/async_starlette_query/", async_starlette_query),
        Route("/uploads/async_streaming/", async_streaming, methods=["GET", "POST"]),
        Route("/bystander/", async_starlette),
    ],
    middleware=[Middleware(DeploymentHeader)],
    lifespan=lambda app: lasting(),
)
