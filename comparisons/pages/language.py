"""The language of a page: what its reader has chosen there, or what the browser asks for.

No LocaleMiddleware: it would cost every view that is measured, and deployments have no middleware.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language_from_request, override

PageView = Callable[..., HttpResponse]


def in_readers_language(view: PageView) -> PageView:
    """Decorate a page's view: it runs, and renders, in the language of its reader."""

    @wraps(view)
    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        language = get_language_from_request(request)
        with override(language):
            response = view(request, *args, **kwargs)
        patch_vary_headers(response, ["Accept-Language", "Cookie"])
        response["Content-Language"] = language
        return response

    return shown
