"""The lifespan that Django lacks: at the end, close what views have opened."""

import asyncio
from typing import Any

from comparisons import offload, resources


def with_lifespan(application: Any) -> Any:
    """Return the ASGI application with a lifespan of its own."""

    async def with_it(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await application(scope, receive, send)
            return
        await receive()
        async with resources.lasting():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await asyncio.to_thread(offload.close_process_pool)
        await send({"type": "lifespan.shutdown.complete"})

    return with_it
