"""Which server, for a view that computes.

Claim: a view that only computes is served by one process as fast as its core computes, whatever the
    server: places add nothing to it, for the GIL lets one at a time have it.
Blocks: who computes holds the process; threads take turns, greenlets and coroutines do not (`gil`).
Instead: a process a core (`workers`), or the work elsewhere (`cpu-offload`).
"""

from functools import partial

from django.http import HttpRequest, JsonResponse

from comparisons.every_server import CPU, ONE_SLOT, PLACES, many_places
from comparisons.registry import NEAR, Comparison, Expectation, Variant
from comparisons.work import compute


def sync(request: HttpRequest) -> JsonResponse:
    compute(CPU)
    return JsonResponse({"computed": CPU})


async def async_native(request: HttpRequest) -> JsonResponse:
    compute(CPU)
    return JsonResponse({"computed": CPU})


CORE = "One core a process, 1 / CPU; what Django and the server take for a request comes on top."
comparison = Comparison(
    users=4,
    raw=True,
    work=partial(compute, CPU),
    variants=[
        Variant(sync, "wsgi-sync", name=ONE_SLOT, workers=1, cpu=True),
        *many_places(sync, async_native, cpu=True),
    ],
    expectations=[
        Expectation((ONE_SLOT, *PLACES), "throughput", of="ceiling", at_least=NEAR, why=CORE),
    ],
)
