"""Which server, for a view that does nothing.

Claim: what Django and a server take of a request is less than a usual page computes: whatever the
    server, such a page is not twice as fast on another. Under ASGI, Django takes more of it.
Blocks: nothing: where nobody waits, a place more serves nobody.
Instead: of cheap views, what is left out before it is served (`middleware`, `request-path`).
"""

from django.http import HttpRequest, JsonResponse

from comparisons.every_server import CPU, DJANGOS, ONE_SLOT, PLACES, many_places
from comparisons.registry import Comparison, Expectation, Variant


def sync(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ok": True})


async def async_native(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ok": True})


LESS = "What every request takes is less than the CPU ms that a usual page computes (`servers`)."
HOPS = "Django's ASGI handler sends its signals in a thread and waits for it: WSGI is in one."
comparison = Comparison(
    users=4,
    raw=True,  # locust's own client would be the limit
    variants=[
        Variant(sync, "wsgi-sync", name=ONE_SLOT, workers=1),
        *many_places(sync, async_native),
    ],
    expectations=[
        Expectation((ONE_SLOT, *PLACES), "cpu_per_request", at_most=1000 * CPU, why=LESS),
        Expectation(DJANGOS, "cpu_per_request", of="sync_threads", at_least=1, why=HOPS),
    ],
)
