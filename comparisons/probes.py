"""What the measuring asks of a server beside its variants: the bystander's view, its pools."""

import gc

from django.http import HttpRequest, JsonResponse

from comparisons import resources


def bystander(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ok": True})


def pools(request: HttpRequest) -> JsonResponse:
    """Answer before and after each round.

    Before it (?collect) collect the garbage of the one before: what a server holds depends on this
    round then, and not on how many were before it. Once, for it takes CPU time.
    """
    if "collect" in request.GET:
        gc.collect()
    return JsonResponse(resources.pool_counters())


async def async_bystander(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ok": True})
