"""The simulated external service: a plain ASGI app in a process of its own.

GET /wait/<ms>  answers after that many milliseconds (0 to 60,000)
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

LONGEST_WAIT_MS = 60_000


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})
        return
    match scope["path"].split("/"):
        case ["", "wait", ms] if ms.isdecimal() and int(ms) <= LONGEST_WAIT_MS:
            await asyncio.sleep(int(ms) / 1000)
            status, answer = 200, json.dumps({"waited_ms": int(ms)})
        case _:
            status, answer = 404, json.dumps({"error": f"no such path: {scope['path']}"})
    body = answer.encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
