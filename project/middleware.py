"""Every response names the deployment and the start of it that answered."""

import inspect
from typing import Any

from django.conf import settings
from django.utils.decorators import sync_and_async_middleware

HEADER = "X-Deployment"


@sync_and_async_middleware
def deployment_header(get_response: Any) -> Any:
    """Add `X-Deployment: asgi-uvicorn 5f0c…`, so that a stale server can never be measured."""
    who = f"{settings.DEPLOYMENT or 'none'} {settings.DEPLOYMENT_NONCE or '-'}"

    def middleware(request: Any) -> Any:
        response = get_response(request)
        response[HEADER] = who
        return response

    async def async_middleware(request: Any) -> Any:
        response = await get_response(request)
        response[HEADER] = who
        return response

    return async_middleware if inspect.iscoroutinefunction(get_response) else middleware
