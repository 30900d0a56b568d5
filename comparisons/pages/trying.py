"""Trying a comparison: a burst at one or two variants of the server that shows the page.

The burst is fired by a process of its own, burst.py, which ends with the response that shows it.
The answer is a page with the finished timelines or, for try.js, the events as they happen, one
JSON object a line, and last what the page would show.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from threading import Lock
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from comparisons.pages import burst
from comparisons.pages.burst_timeline import ROW, SCALES, Timeline, scale_of, timelines
from comparisons.pages.language import in_present_language, in_readers_language
from comparisons.pages.prose import prose
from comparisons.pages.serving import as_measured, is_asgi, next_port_of, port_of, server_of
from comparisons.pages.source import own_shape
from comparisons.pairs import COMPARISONS
from comparisons.registry import Comparison, Variant

LIMIT_S = 10  # of a whole burst
ALIKE = 1.5  # times as long: one burst tells no less apart
MAX_REQUESTS, DEFAULT_REQUESTS = 20, 10  # of a variant, at once
NDJSON = "application/x-ndjson"
# What a proxy adds: the address that asks is its own then, and says nothing of who does.
OF_PROXIES = (
    *("Forwarded", "Via", "X-Real-IP"),
    *("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"),
)
WhyNotHere = Callable[[Variant], str]  # what keeps this server from serving it; "" if nothing does
one_at_a_time = Lock()  # in this process


# --- What is offered


@dataclass(frozen=True)
class Offer:
    """What the form needs."""

    url: str
    why_not: str  # why nothing can be tried; "" if it can
    variants: list[Variant]
    chosen: list[str]
    requests: int
    server: str
    is_asgi: bool
    asgi_command: str
    max_requests: int = MAX_REQUESTS
    scales: str = json.dumps(SCALES)
    row: int = ROW
    no_ticks: tuple[str, ...] = ("",) * 5  # try.js writes them


def offer(
    request: HttpRequest,
    comparison: Comparison,
    why_not_here: WhyNotHere,
    chosen: list[str] | None = None,
    requests: int = DEFAULT_REQUESTS,
) -> Offer:
    why_not = [why_not_this(comparison, variant, why_not_here) for variant in comparison.variants]
    variants = [
        variant for variant, why in zip(comparison.variants, why_not, strict=True) if not why
    ]
    nothing = "" if variants else why_not[0]
    return Offer(
        url=reverse(f"{comparison.slug}/try"),
        why_not=why_not_who(request) or nothing,
        variants=variants,
        chosen=chosen or compared_pair(comparison, variants),
        requests=requests,
        server=server_of(request),
        is_asgi=is_asgi(request),
        asgi_command=f"python manage.py serve asgi-uvicorn --port {next_port_of(request)}",
    )


def compared_pair(comparison: Comparison, variants: list[Variant]) -> list[str]:
    """Choose the pitfall and what an expectation compares it with, or the first and the last.

    Not the two that the page begins with, whose source is most alike: these are to run differently.
    """
    good = [variant.name for variant in variants if not variant.pitfall]
    for bad in (variant.name for variant in variants if variant.pitfall):
        compared = [set(e.sides) for e in comparison.expectations if bad in e.sides]
        for name in reversed(good):
            if {bad, name} in compared:
                return [bad, name]
        return [bad, *good[-1:]]
    return list(dict.fromkeys([variants[0].name, variants[-1].name])) if variants else []


def why_not_this(comparison: Comparison, variant: Variant, why_not_here: WhyNotHere) -> str:
    """Say why this server is not asked for the variant, and which serves it; "" if it can be."""
    if variant.client and variant.client.method != "GET":
        words = {"name": variant.name, "command": f"python manage.py compare {comparison.slug}"}
        return _("%(name)s takes uploads, which are too much for a page: %(command)s") % words
    if variant.app:
        why = _("is no view of Django's")
    elif not (why := why_not_here(variant)):
        return ""
    alone = variant.app or variant.environ
    served = f"{comparison.slug}/{variant.name}" if alone else variant.deployment
    return f"{variant.name} {why}: python manage.py serve {served}"


def why_not_who(request: HttpRequest) -> str:
    """Say why whoever asks may fire no burst; "" if they may."""
    if settings.DEBUG:
        return ""
    try:
        address = ip_address(request.META.get("REMOTE_ADDR", ""))
        local = (getattr(address, "ipv4_mapped", None) or address).is_loopback
    except ValueError:  # a Unix socket has none
        local = False
    if local and not any(header in request.headers for header in OF_PROXIES):
        return ""
    return _("only from the machine that serves it, and not through a proxy")


# --- The burst


class Burst:
    """The process that fires it, until its end or that of the response that shows it.

    live: each event is sent on as it comes. end: makes the last of the answer from all it said.
    """

    def __init__(self, plan: dict[str, Any], live: bool, end: Callable[[bytes], str]) -> None:
        self.live, self.end, self.said = live, end, b""
        command = [sys.executable, "-I", "-S", burst.__file__, json.dumps(plan)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, bufsize=0)

    def heard(self, chunk: bytes) -> bytes:
        self.said += chunk
        return chunk if self.live else b""

    def close(self) -> None:
        """End it, if it has not ended, and let the next one begin. To be called once or again."""
        if self.process.returncode is not None:
            return
        with self.process:  # closes its pipes, and waits
            self.process.kill()
        one_at_a_time.release()


class BurstInThread(Burst):
    def __iter__(self) -> Iterator[bytes]:
        assert self.process.stdout
        while chunk := self.process.stdout.read(65_536):
            yield self.heard(chunk)
        self.close()
        yield self.end(self.said).encode()


class BurstOnLoop(Burst):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert self.process.stdout
        reader = asyncio.StreamReader()
        # A copy: the loop closes its own when it comes to that.
        pipe = os.fdopen(os.dup(self.process.stdout.fileno()), "rb", buffering=0)
        transport, _protocol = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        try:
            while chunk := await reader.read(65_536):
                yield self.heard(chunk)
        finally:
            transport.close()
            self.close()
        yield self.end(self.said).encode()


@transaction.non_atomic_requests
@in_readers_language
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def try_it(request: HttpRequest, slug: str, why_not_here: WhyNotHere) -> HttpResponseBase:
    """Fire a burst at the variants that the form names."""
    if request.method != "POST":
        return redirect(f"{reverse(slug)}#try")
    comparison = COMPARISONS[slug]
    try:
        variants, requests = _asked_for(request, comparison, why_not_here)
        if not one_at_a_time.acquire(blocking=False):
            raise RefusedError(429, _("another burst is under way; try again when it has ended"))
    except RefusedError as refused:
        return _refusal(request, comparison, why_not_here, refused)
    plan = {
        **_target(request),
        "bystander": reverse("bystander"),
        "requests": requests,
        "limit_s": LIMIT_S,
        "variants": [
            {
                "name": variant.name,
                "path": reverse(f"{slug}/{variant.name}"),
                "leaves_after": variant.client.leaves_after if variant.client else None,
            }
            for variant in variants
        ],
    }

    names = [variant.name for variant in variants]

    def shown(output: bytes) -> dict[str, Any]:
        return {
            "offer": offer(request, comparison, why_not_here, names, requests),
            "comparison": comparison,
            "title": prose(comparison.title),
            "tried": tried(request, comparison, timelines(output, variants)),
        }

    def last_line(output: bytes) -> str:
        context = shown(output)
        parts = {
            part: render_to_string(f"comparisons/_{part}.html", context, request)
            for part in ("findings", "timelines")
        }
        return json.dumps({"event": "shown", **parts}) + "\n"

    def page(output: bytes) -> str:
        return render_to_string("comparisons/try.html", shown(output), request)

    live = _wants_events(request)
    kind = BurstOnLoop if is_asgi(request) else BurstInThread
    try:
        fired = kind(plan, live, in_present_language(last_line if live else page))
    except OSError as error:
        one_at_a_time.release()
        line = _("no process can be started: %(error)s") % {"error": error.strerror}
        return _refusal(request, comparison, why_not_here, RefusedError(503, line))
    return _headed(StreamingHttpResponse(fired, NDJSON if live else None))


class RefusedError(Exception):
    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


def _asked_for(
    request: HttpRequest, comparison: Comparison, why_not_here: WhyNotHere
) -> tuple[list[Variant], int]:
    """Read the form. RefusedError where it asks for what there is not, or may not."""
    if why := why_not_who(request):
        raise RefusedError(403, why)
    known = {variant.name: variant for variant in comparison.variants}
    names = list(dict.fromkeys(filter(None, request.POST.getlist("variant"))))
    for name in names:
        if name not in known:
            words = {"slug": comparison.slug, "name": name}
            raise RefusedError(400, _("%(slug)s has no variant %(name)s") % words)
    if not 1 <= len(names) <= 2:
        raise RefusedError(400, _("choose one variant or two"))
    number = request.POST.get("requests", str(DEFAULT_REQUESTS))
    if not (number.isascii() and number.isdecimal() and len(number) < 9):
        raise RefusedError(400, _("requests is a whole number"))
    if not 1 <= int(number) <= MAX_REQUESTS:
        raise RefusedError(400, _("from 1 to %(max)s requests") % {"max": MAX_REQUESTS})
    variants = [known[name] for name in names]
    for variant in variants:
        if why := why_not_this(comparison, variant, why_not_here):
            raise RefusedError(501, why)
    return variants, int(number)


def _target(request: HttpRequest) -> dict[str, Any]:
    """Return where this very server listens: never a host that the client names."""
    is_ipv6 = ":" in request.META.get("REMOTE_ADDR", "")
    return {
        "address": "::1" if is_ipv6 else "127.0.0.1",
        "port": port_of(request),
        "host": request.get_host(),  # one of ALLOWED_HOSTS
    }


def _wants_events(request: HttpRequest) -> bool:
    return request.get_preferred_type([NDJSON, "text/html"]) == NDJSON


def _refusal(
    request: HttpRequest, comparison: Comparison, why_not_here: WhyNotHere, refused: RefusedError
) -> HttpResponseBase:
    line = _("Not tried: %(why)s.") % {"why": refused}
    if _wants_events(request):
        return HttpResponse(f"{line}\n", "text/plain; charset=utf-8", status=refused.status)
    context = {
        "comparison": comparison,
        "title": prose(comparison.title),
        "refused": line,
        "offer": offer(request, comparison, why_not_here),
    }
    return _headed(render(request, "comparisons/try.html", context, status=refused.status))


@in_readers_language
def without_token(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Refuse a form that another page made, or one that is too old (CSRF_FAILURE_VIEW)."""
    line = _("Not tried: the form is too old, or from elsewhere. Load the page again.")
    return HttpResponse(f"{line}\n", "text/plain; charset=utf-8", status=403)


def _headed(response: HttpResponseBase) -> HttpResponseBase:
    response["Content-Security-Policy"] = "default-src 'self'"
    response["Cache-Control"] = "no-store"
    return response


# --- What is shown of it


@dataclass(frozen=True)
class Tried:
    timelines: list[Timeline]
    scale: int  # ms, of all pictures: they are to be compared
    server: str
    notes: list[str]
    commands: dict[str, list[str]]  # that serve as it is measured, and the variants of each

    @property
    def ticks(self) -> list[int]:
        return [self.scale * n // 4 for n in range(5)]

    @property
    def by(self) -> list[str]:
        names = {name for timeline in self.timelines for name in timeline.by}
        return sorted(name for name in names if not name.startswith("none "))  # no deployment


def tried(request: HttpRequest, comparison: Comparison, found: list[Timeline]) -> Tried:
    variants = [timeline.variant for timeline in found]
    commands: dict[str, list[str]] = {}
    for variant in variants:
        if command := as_measured(request, comparison, variant):
            commands.setdefault(command, []).append(variant.name)
    return Tried(
        timelines=found,
        scale=scale_of(max((timeline.ms for timeline in found), default=0)),
        server=server_of(request),
        notes=[*_of_the_loop(request, found), *_of_the_shape(variants), *_of_the_pair(found)],
        commands=commands,
    )


def _of_the_loop(request: HttpRequest, found: list[Timeline]) -> Iterator[str]:
    if is_asgi(request):
        for timeline in found:
            if timeline.variant.is_async and timeline.holds_all_up:
                yield _(
                    "%(name)s holds the event loop while it waits or computes: the server does"
                    " one request after another, answers that are ready are not sent, and the"
                    " bystander waits too."
                ) % {"name": timeline.variant.name}
        return
    if any(timeline.alone is None for timeline in found):
        yield _(
            "The request that shows this holds a place of the server itself, a thread or a process:"
            " where there is no other, no request of a burst is answered."
        )
    if any(timeline.variant.is_async for timeline in found):
        yield _(
            "Here each request of an async view has an event loop of its own: none waits for"
            " another's, and what a loop opens once (a client, a pool) each opens anew."
        )


def _of_the_shape(variants: list[Variant]) -> Iterator[str]:
    for variant in variants:
        if variant.environ:
            words = {"name": variant.name, "shape": "; ".join(own_shape(variant))}
            yield (
                _(
                    "This server does not have what %(name)s declares: %(shape)s. The command below"
                    " serves it so, that view alone, without these pages."
                )
                % words
            )


def _of_the_pair(found: list[Timeline]) -> Iterator[str]:
    if len(found) == 2 and found[0].variant.view is found[1].variant.view:
        yield _("Both are the same view; what sets them apart is how they are served: here, alike.")
    if len(found) == 2 and all(timeline.is_whole for timeline in found):
        faster, slower = sorted(found, key=lambda timeline: timeline.took)
        times = slower.took / faster.took
        if times < ALIKE:
            yield _("All of one took about as long as all of the other.")
        else:
            yield _("All of %(slower)s took %(times)s times as long as all of %(faster)s.") % {
                "slower": slower.variant.name,
                "faster": faster.variant.name,
                "times": number_format(times, 1),
            }
