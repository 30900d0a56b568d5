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
from comparisons.registry import Comparison, Expectation, Variant


def sync(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"fib": fib(N)})


async def async_threaded(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"fib": await sync_to_async(fib)(N)})  # pitfall: two threads, one GIL


async def async_process(request: HttpRequest) -> JsonResponse:
    loop = asyncio.get_running_loop()
    return JsonResponse({"fib": await loop.run_in_executor(process_pool(), fib, N)})


comparison = Comparison(
    users=4,
    work=lambda: fib(N),
    variants=[
        Variant(sync, "wsgi-threads", cpu=True),
        Variant(async_threaded, "asgi-uvicorn", cpu=True, pitfall=True),
        Variant(async_process, "asgi-uvicorn"),
    ],
    expectations=[
        # One GIL: however many threads compute, all of them together use no more than one core.
        Expectation(async_threaded, "throughput", of="ceiling", at_most=1),
        # A GIL and a core each; a quarter is left for the event loop and the load generator, which
        # need cores too. More than two cores need not bring more: one loop hands out the work.
        Expectation(async_process, "throughput", of=async_threaded, at_least=0.75 * min(2, CORES)),
        # Whenever the loop, or a thread that it waits for, wants to run, it waits 5 ms for the GIL
        # (sys.getswitchinterval), or for each of the threads that compute. Processes share no GIL;
        # half is left for their sharing the cores with the loop.
        Expectation(async_process, "bystander", of=async_threaded, at_most=0.5),
        # It has nothing to do with the colour.
        Expectation(sync, "throughput", of=async_threaded, between=(0.8, 1.25)),
    ],
)
