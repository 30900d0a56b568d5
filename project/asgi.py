"""The ASGI application, for uvicorn, granian and gunicorn's asgi worker."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import ThreadSensitiveContext
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

django = get_asgi_application()

from project.lifespan import with_lifespan  # noqa: E402  needs the settings

# Django runs the sync receivers of request_started in a thread that it keeps until the response is
# sent: one for each request that waits. With SHARED_THREAD they share one (see many-waiting).
shared_thread = ThreadPoolExecutor(1)


async def on_shared_thread(scope: Any, receive: Any, send: Any) -> None:
    async with ThreadSensitiveContext(executor=shared_thread):
        await django(scope, receive, send)


application = with_lifespan(on_shared_thread if os.environ.get("SHARED_THREAD") else django)
