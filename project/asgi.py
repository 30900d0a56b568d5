"""The ASGI application, for uvicorn and gunicorn's asgi worker.

Django has no lifespan of its own; this one closes what the event loop's views have opened.
"""

import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

django = get_asgi_application()

from comparisons import resources  # noqa: E402  needs the settings


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "lifespan":
        return await django(scope, receive, send)
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await resources.close()
    await send({"type": "lifespan.shutdown.complete"})
