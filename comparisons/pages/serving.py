"""Who serves a page, as it says so; what else serves a variant; and when a view ran."""

import inspect
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _

from comparisons.pages import burst
from comparisons.registry import Comparison, Variant


def is_asgi(request: HttpRequest) -> bool:
    return isinstance(request, ASGIRequest)


def server_of(request: HttpRequest) -> str:
    """Return for instance `runserver (WSGI, a thread for each request)`."""
    if not settings.DEPLOYMENT:
        if is_asgi(request):
            return _("an ASGI server (one event loop)")
        if request.META.get("SERVER_SOFTWARE", "").startswith("WSGIServer"):
            return _("runserver (WSGI, a thread for each request)")
        return _("a WSGI server")
    deployment = settings.DEPLOYMENTS[settings.DEPLOYMENT]
    if deployment.interface == "asgi":
        how = _("ASGI, one event loop a process")
    elif deployment.why_not_async:
        how = _("WSGI, a greenlet for each request")
    elif deployment.threads == 1:
        how = _("WSGI, one request at a time in each process")
    elif deployment.threads:
        how = _("WSGI, a fixed number of threads")
    else:
        how = _("WSGI, a thread for each request")
    return f"{deployment.name} ({_(deployment.about)}; {how})"


def as_measured(request: HttpRequest, comparison: Comparison, variant: Variant) -> str:
    """Return the command that serves the variant as it is measured; "" where this server does."""
    if variant.environ:  # a deployment's own: pages are served without it
        return f"python manage.py serve {comparison.slug}/{variant.name}"
    flags = [
        f"--{name} {value}"
        for name in ("workers", "threads", "database")
        if (value := getattr(variant, name))
    ]
    if away_ms := max(round_trip for _users, round_trip in comparison.cases):
        flags.append(f"--round-trip {away_ms:g}")
    if variant.deployment == settings.DEPLOYMENT and not flags:
        return ""
    words = [
        "python manage.py serve",
        variant.deployment,
        *flags,
        f"--port {next_port_of(request)}",
    ]
    return " ".join(words)


def port_of(request: HttpRequest) -> int:
    port = request.META.get("SERVER_PORT", "")
    return int(port) if port.isdecimal() else 0  # a Unix socket has none


def next_port_of(request: HttpRequest) -> int:
    """Return one that is not this server's."""
    return port + 1 if 0 < (port := port_of(request)) < 65_535 else 8000


def telling_when(view: Callable[..., Any]) -> Callable[..., Any]:
    """Return the view; to a burst its response also tells when the view began and ended.

    A client alone cannot see that: an event loop that is blocked may have several answers ready
    before it sends the first. A stream goes on after its view, so nothing is told of its end.
    """

    def tell(response: HttpResponseBase, begun: float) -> HttpResponseBase:
        end = "" if response.streaming else f" {time.monotonic()}"
        response[burst.TELLS_VIEW] = f"{begun}{end}"
        return response

    def wanted(request: HttpRequest) -> bool:
        return burst.ASKS_FOR_VIEW in request.headers

    @wraps(view)
    def sync(request: HttpRequest) -> HttpResponseBase:
        begun = time.monotonic()
        response: HttpResponseBase = view(request)
        return tell(response, begun) if wanted(request) else response

    @wraps(view)
    async def asynchronous(request: HttpRequest) -> HttpResponseBase:
        begun = time.monotonic()
        response: HttpResponseBase = await view(request)
        return tell(response, begun) if wanted(request) else response

    return asynchronous if inspect.iscoroutinefunction(view) else sync
