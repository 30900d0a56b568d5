"""Which server, for a view that computes.

Claim: a view that only computes is served by one process as fast as its core computes, whatever the
    server: places add nothing to it, for the GIL lets one at a time have it.
Blocks: who computes holds the process; threads take turns, greenlets and coroutines do not (`gil`).
Instead: a process a core (`workers`), or the work elsewhere (`cpu-offload`).
"""

from functools import partial

from django.http import HttpRequest, JsonResponse

from comparisons.every_server import CPU, ONE_SLOT, PLACES, many_places
from comparisons.registry import SAME, Comparison, Expectation, Variant
from comparisons.work import compute


def sync(request: HttpRequest) -> JsonResponse:
    compute(CPU)
    return JsonResponse({"computed": CPU})


async def async_native(request: HttpRequest) -> JsonResponse:
    compute(CPU)
    return JsonResponse({"computed": CPU})


CORE = "The GIL: one core a process, whatever the places. No server has it compute any faster."
EQUAL = "What Django and the server take comes on top: by one request's at most they differ."
comparison = Comparison(
    users=4,
    raw=True,
    work=partial(compute, CPU),
    variants=[
        Variant(sync, "wsgi-sync", name=ONE_SLOT, workers=1, cpu=True),
        *many_places(sync, async_native, cpu=True),
    ],
    expectations=[
        Expectation((ONE_SLOT, *PLACES), "throughput", of="ceiling", at_most=1, why=CORE),
        Expectation(PLACES, "throughput", of=ONE_SLOT, between=SAME, why=EQUAL),
    ],
)
