"""A CPU-bound function in an async view.

Claim: a CPU-bound function blocks inevitably; in an async view it holds the server's only thread.
Blocks: `fib` computes without ever giving control back to the event loop.
Instead: keep it out of the loop's thread. In another thread it leaves the loop a share of the GIL,
    though nothing is computed sooner; in another process it leaves the core (see cpu-offload).
"""

from asgiref.sync import sync_to_async
from django.http import HttpRequest, JsonResponse

from comparisons.registry import SAME, Comparison, Expectation, Variant

N = 26


def fib(n: int) -> int:
    return n if n <= 1 else fib(n - 1) + fib(n - 2)


def sync(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"fib": fib(N)})


async def async_blocking(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"fib": fib(N)})  # pitfall: no linter knows that fib computes


async def async_threaded(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"fib": await sync_to_async(fib)(N)})


QUEUED = "Whoever comes while fib computes waits for its end, and then for those who came before."
TURNS = "A thread gives the GIL up every 5 ms (sys.getswitchinterval), long before fib ends."
SAME_WORK = "The same function on the same core: only what the two stacks cost tells them apart."
ONE_AT_A_TIME = "The GIL lets one thread compute at a time; a tenth is left for what hops change."
comparison = Comparison(
    users=4,
    work=lambda: fib(N),
    variants=[
        Variant(sync, "wsgi-threads", cpu=True),
        Variant(async_blocking, "asgi-uvicorn", cpu=True, pitfall=True),
        Variant(async_threaded, "asgi-uvicorn", cpu=True),
    ],
    expectations=[
        Expectation(async_blocking, "bystander", of="work", at_least=1, users=4, why=QUEUED),
        Expectation(
            async_threaded, "bystander", of=async_blocking, at_most=0.9, users=4, why=TURNS
        ),
        Expectation(sync, "cpu_per_request", of=async_blocking, between=SAME, why=SAME_WORK),
        Expectation(
            async_threaded, "throughput", of=async_blocking, at_most=1.1, why=ONE_AT_A_TIME
        ),
    ],
)
