"""A service for CPU work: a plain ASGI app in a process of its own.

It computes in its event loop's thread and so answers one request after another: that is its job.

GET /fib/N    {"fib": ...} (0 to 30)
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from comparisons.offload import fib

LARGEST_N = 30


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
    status, answer = answer_to(scope["path"])
    body = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def answer_to(path: str) -> tuple[int, dict[str, Any]]:
    """The status and the JSON object that answer a GET of this path."""
    match path.split("/"):
        case ["", "fib", n] if n.isdecimal() and len(n) <= 2 and int(n) <= LARGEST_N:
            return 200, {"fib": fib(int(n))}
    return 404, {"error": f"no such path: {path}"}
