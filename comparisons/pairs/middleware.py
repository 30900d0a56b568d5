"""Middleware before an async view.

Claim: under ASGI each sync hook of a middleware is a hop. Startproject's seven have thirteen.
Blocks: nothing; but a middleware that is sync only holds a thread for as long as the view takes.
Instead: write middleware in both colours. Under WSGI a sync one is only a call.
"""

from inspect import iscoroutinefunction
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.utils.decorators import sync_and_async_middleware

from comparisons.registry import Comparison, Expectation, Variant

SEVEN = {"EXTRA_MIDDLEWARE": ",".join(settings.STARTPROJECTS_MIDDLEWARE)}
ONE, BOTH = ({"EXTRA_MIDDLEWARE": f"{__name__}.{name}"} for name in ("sync_only", "both_colours"))
DIRECT = "asgi-uvicorn-direct"
CPU: Final = "cpu_per_request"


def sync_only(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> Any:
        response = get_response(request)
        response.headers["X-Site"] = "comparisons"
        return response

    return middleware


@sync_and_async_middleware
def both_colours(get_response: Any) -> Any:
    async def middleware(request: HttpRequest) -> Any:
        response = await get_response(request)  # the one line that differs
        response.headers["X-Site"] = "comparisons"
        return response

    return middleware if iscoroutinefunction(get_response) else sync_only(get_response)


def sync(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"hello": "world"})


async def async_view(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"hello": "world"})


HOPS = "Thirteen hops, each of which wakes two threads, beside the two that Django itself takes."
HOP = "It runs in a thread, which asks the loop for the view and waits: a hop there, and one back."
CALL = "A call and a header, of microseconds: a tenth of a request is more than that."
PYTHON = "No hop: what is left is the seven's own Python, of less than Django's whole request."
OWN = "Where nothing else takes a thread, it is begun, closed and ended for this middleware alone."
HALF = "Nobody asks for session or user: none of the seven waits, so that none must be in a thread."
comparison = Comparison(
    users=10,
    raw=True,
    variants=[
        Variant(sync, "wsgi-threads"),
        Variant(sync, "wsgi-threads", name="sync_seven", environ=SEVEN),
        Variant(sync, "wsgi-threads", name="sync_one", environ=ONE),
        Variant(async_view, "asgi-uvicorn"),
        Variant(async_view, "asgi-uvicorn", name="async_seven", environ=SEVEN),
        Variant(async_view, "asgi-uvicorn", name="async_one", environ=ONE, pitfall=True),  # pitfall
        Variant(async_view, "asgi-uvicorn", name="async_both", environ=BOTH),
        Variant(async_view, DIRECT, name="async_direct"),
        Variant(async_view, DIRECT, name="async_direct_seven", environ=SEVEN),
        Variant(async_view, DIRECT, name="async_direct_one", environ=ONE, pitfall=True),  # pitfall
    ],
    expectations=[
        Expectation("async_seven", CPU, of=async_view, at_least=2, why=HOPS),
        Expectation("async_one", CPU, of="async_both", at_least=1, why=HOP),
        Expectation("async_both", CPU, of=async_view, at_most=1.1, why=CALL),
        Expectation("sync_one", CPU, of=sync, at_most=1.1, why=CALL),
        Expectation("sync_seven", CPU, of=sync, at_most=2, why=PYTHON),
        Expectation("async_direct_one", CPU, of="async_direct", at_least=1.5, why=OWN),
        Expectation("async_direct_seven", CPU, of="async_seven", at_most=0.5, why=HALF),
    ],
)
