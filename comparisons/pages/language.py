"""The language of a page: what its reader has chosen there, or what the browser asks for.

No LocaleMiddleware: it would cost every view that is measured, and deployments have no middleware.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language, get_language_from_request, override

Answer = TypeVar("Answer", bound=HttpResponseBase)
P = ParamSpec("P")
T = TypeVar("T")


def in_readers_language(view: Callable[..., Answer]) -> Callable[..., Answer]:
    """Decorate a page's view: it runs, and renders, in the language of its reader."""

    @wraps(view)
    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> Answer:
        language = get_language_from_request(request)
        with override(language):
            response = view(request, *args, **kwargs)
        patch_vary_headers(response, ["Accept-Language", "Cookie"])
        response["Content-Language"] = language
        return response

    return shown


def in_present_language(function: Callable[P, T]) -> Callable[P, T]:
    """Return a function that is called later, while a response is streamed, in this language."""
    language = get_language()

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        with override(language):
            return function(*args, **kwargs)

    return called
