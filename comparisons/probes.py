"""What the measuring asks of a server beside its variants: the bystander's view, its pools."""

from django.http import HttpRequest, JsonResponse

from comparisons import resources


def bystander(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ok": True})


def pools(request: HttpRequest) -> JsonResponse:
    return JsonResponse(resources.pool_counters())


async def async_bystander(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ok": True})
