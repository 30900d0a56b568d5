"""The ASGI application, for uvicorn and gunicorn's asgi worker.

Django has no lifespan of its own; this one closes what the event loop's views have opened.
"""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import ThreadSensitiveContext
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

django = get_asgi_application()

from comparisons import offload, resources  # noqa: E402  needs the settings

# Django runs the sync receivers of request_started in a thread that it keeps until the response is
# sent: one for each request that waits. With SHARED_THREAD they share one (see many-waiting).
shared_thread = ThreadPoolExecutor(1) if os.environ.get("SHARED_THREAD") else None


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif shared_thread:
        async with ThreadSensitiveContext(executor=shared_thread):
            await django(scope, receive, send)
    else:
        await django(scope, receive, send)


async def lifespan(receive: Any, send: Any) -> None:
    await receive()
    async with resources.lasting():
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await asyncio.to_thread(offload.close_process_pool)
    await send({"type": "lifespan.shutdown.complete"})
