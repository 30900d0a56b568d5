"""Uploads.

Claim: under ASGI, who sends slowly holds no thread: the event loop takes the body piece by piece,
    and what comes meanwhile is answered. Under WSGI the view reads it, in a thread that waits.
Blocks: nothing. But Django's ASGI handler takes all of a body, on disk above 2.5 MB, before it asks
    whether anybody wants it; `request.body` then refuses what is above that.
Instead: `request.read` in pieces. To see the first before the last has come, another application
    beside Django's; under WSGI, more threads or a server in front that takes bodies itself (nginx).
"""

from typing import Any

from django.http import HttpRequest, JsonResponse

from comparisons.floor import async_streaming
from comparisons.registry import Client, Comparison, Expectation, Variant

UPLOAD_S, PIECE = 0.2, 64 * 1024  # seconds, bytes
SLOW: dict[str, Any] = {"client": Client(method="POST", body_mb=10, upload_s=UPLOAD_S)}


def announced(upload: HttpRequest) -> int:
    return int(upload.headers.get("Content-Length") or 0)


def sync(request: HttpRequest) -> JsonResponse:
    size = sum(map(len, iter(lambda: request.read(PIECE), b"")))
    return JsonResponse({"whole": size == announced(request)})


async def async_body(request: HttpRequest) -> JsonResponse:
    size = len(request.body)  # pitfall: at most DATA_UPLOAD_MAX_MEMORY_SIZE
    return JsonResponse({"whole": size == announced(request)})


async def async_native(request: HttpRequest) -> JsonResponse:
    size = sum(map(len, iter(lambda: request.read(PIECE), b"")))
    return JsonResponse({"whole": size == announced(request)})


ONE, ON_LOOPS = "sync_one_thread", (async_native, "async_direct", async_streaming)
HELD = "An upload holds the one thread: half of it is still to come, on average; here half of that."
PIECES = "A piece takes part of a ms, written to a file or not, and then it is others' turn."
REFUSED = "Each body is above the limit; all fail, and half is what a few answers can show."
comparison = Comparison(
    users=2,
    variants=[
        Variant(sync, "wsgi-threads", **SLOW),
        Variant(sync, "wsgi-threads", name=ONE, threads=1, pitfall=True, **SLOW),  # pitfall: one
        Variant(async_body, "asgi-uvicorn", pitfall=True, may_fail=True, **SLOW),
        Variant(async_native, "asgi-uvicorn", **SLOW),
        Variant(async_native, "asgi-uvicorn-direct", name="async_direct", **SLOW),
        Variant(async_streaming, "asgi-uvicorn", app="comparisons.floor:starlette", **SLOW),
    ],
    expectations=[
        Expectation(ONE, "bystander", at_least=1000 * UPLOAD_S / 4, why=HELD),
        Expectation((sync, *ON_LOOPS), "bystander", at_most=10, why=PIECES),
        Expectation(async_body, "failures", at_least=0.5, why=REFUSED),
    ],
)
