"""An ASGI app that stands still for a second, a second after it was first asked for a variant."""

import time
from typing import Any

from loadtests import trivial

first = frozen = 0.0


async def app(scope: Any, receive: Any, send: Any) -> None:
    global first, frozen
    if scope["type"] == "http" and scope["path"] != "/bystander/":
        first = first or time.monotonic()
        if not frozen and time.monotonic() > first + 1:
            frozen = time.monotonic()
            time.sleep(1)  # noqa: ASYNC251  this is the freeze
    await trivial.app(scope, receive, send)
