"""A CPU-bound function in an async view.

Claim: a CPU-bound function blocks inevitably; in an async view it holds the server's only thread.
Blocks: `fib` computes without ever giving control back to the event loop.
Instead: keep it out of the loop's thread. In another thread it leaves the loop a share of the GIL,
    though nothing is computed sooner; in another process it leaves the core (see cpu-offload).
"""

from asgiref.sync import sync_to_async
from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant

N = 26


def fib(n: int) -> int:
    return n if n <= 1 else fib(n - 1) + fib(n - 2)


def sync(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"fib": fib(N)})


async def async_blocking(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"fib": fib(N)})  # pitfall: no linter knows that fib computes


async def async_threaded(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"fib": await sync_to_async(fib)(N)})


comparison = Comparison(
    users=4,
    work=lambda: fib(N),
    variants=[
        Variant(sync, "wsgi-threads", cpu=True),
        Variant(async_blocking, "asgi-uvicorn", cpu=True, pitfall=True),
        Variant(async_threaded, "asgi-uvicorn", cpu=True),
    ],
    expectations=[
        # Whoever comes while fib computes waits for its end, and then for those queued before.
        Expectation(async_blocking, "bystander", of="work", at_least=1),
        # A thread gives the GIL up every 5 ms (sys.getswitchinterval), long before fib ends.
        Expectation(async_threaded, "bystander", of=async_blocking, at_most=0.9),
        # The GIL lets one thread compute at a time: no variant computes more than another.
        Expectation(async_blocking, "throughput", of=sync, between=(0.8, 1.25)),
        Expectation(async_threaded, "throughput", of=async_blocking, between=(0.8, 1.25)),
    ],
)
