"""An ASGI app that does nothing but answer: what the load generator is calibrated against."""

from typing import Any

from django.conf import settings

from project.middleware import HEADER

BODY = b'{"ok": true}'


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})
        return
    who = f"{settings.DEPLOYMENT} {settings.DEPLOYMENT_NONCE}".encode()
    headers = [(HEADER.lower().encode(), who), (b"content-length", b"%d" % len(BODY))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})
