"""What the measuring asks of a server beside its variants: the bystander's view, its pools.

None takes a connection, also where each request is a transaction (ATOMIC_REQUESTS), which would
refuse the async one.
"""

import gc

from django.db import transaction
from django.http import HttpRequest, JsonResponse

from comparisons import resources


@transaction.non_atomic_requests
def bystander(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ok": True})


@transaction.non_atomic_requests
def pools(request: HttpRequest) -> JsonResponse:
    """Answer before and after each round.

    Before it (?collect) collect the garbage of the one before: what a server holds depends on this
    round then, and not on how many were before it. Once, for it takes CPU time.
    """
    if "collect" in request.GET:
        gc.collect()
    return JsonResponse(resources.pool_counters())


@transaction.non_atomic_requests
async def async_bystander(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ok": True})
