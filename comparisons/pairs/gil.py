"""CPU-bound work in threads and in processes.

Claim: the interpreter runs one thread at a time (GIL), so threads do not help CPU-bound work; a
    process of its own does.
Blocks: in a thread `fib` leaves the event loop free to run, but not to run at once: thread and loop
    take turns with one GIL, and nothing is computed sooner.
Instead: a pool of processes, each with a GIL of its own, started once and not for each call.
"""

import asyncio

from asgiref.sync import sync_to_async
from django.http import HttpRequest, JsonResponse

from comparisons.cores import CORES
from comparisons.offload import N, fib, process_pool
from comparisons.registry import SAME, Comparison, Expectation, Variant


def sync(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"fib": fib(N)})


async def async_threaded(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"fib": await sync_to_async(fib)(N)})  # pitfall: two threads, one GIL


async def async_process(request: HttpRequest) -> JsonResponse:
    loop = asyncio.get_running_loop()
    return JsonResponse({"fib": await loop.run_in_executor(process_pool(), fib, N)})


ONE_GIL = "However many threads compute, with one GIL all of them together use one core at most."
A_CORE_EACH = (
    "A GIL and a core each, of two at most: one loop hands out the work. A quarter is for it."
)
NO_GIL = (
    "A loop waits for the GIL for 5 ms (sys.getswitchinterval) and more; a process has its own."
)
COLOUR = "Threads of the server or of an executor: it has nothing to do with the colour."
comparison = Comparison(
    users=4,
    work=lambda: fib(N),
    variants=[
        Variant(sync, "wsgi-threads", cpu=True),
        Variant(async_threaded, "asgi-uvicorn", cpu=True, pitfall=True),
        Variant(async_process, "asgi-uvicorn"),
    ],
    expectations=[
        Expectation(async_threaded, "throughput", of="ceiling", at_most=1, why=ONE_GIL),
        Expectation(
            async_process,
            "throughput",
            of=async_threaded,
            at_least=0.75 * min(2, CORES),
            users=4,
            why=A_CORE_EACH,
        ),
        Expectation(async_process, "bystander", of=async_threaded, at_most=0.5, why=NO_GIL),
        Expectation(sync, "cpu_per_request", of=async_threaded, between=SAME, why=COLOUR),
    ],
)
