"""A plain ASGI app of one function, for the services that views call."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

App = Callable[
    [
        dict[str, Any],
        Callable[[], Awaitable[dict[str, Any]]],
        Callable[[dict[str, Any]], Awaitable[None]],
    ],
    Awaitable[None],
]


Gone = Callable[[], Awaitable[None]]  # returns when the client has left


def json_app(answer_to: Callable[[str, Gone], Awaitable[tuple[int, dict[str, Any]]]]) -> App:
    """Return an ASGI app that answers a path with the status and the JSON object of `answer_to`."""

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

        async def gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        status, answer = await answer_to(scope["path"], gone)
        body = json.dumps(answer).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app
