"""More processes, more event loops.

Claim: an event loop uses one core because of the GIL. More cores are used by more processes; more
    event loops in threads of one process bring little.
Blocks: `fib` holds the thread that it runs in, and the GIL: a process computes one at a time,
    however many of its threads, with or without event loops, have work.
Instead: run a process per core (`--workers`).
"""

import asyncio
from collections.abc import Iterator
from functools import cache
from itertools import cycle
from threading import Thread

from django.http import HttpRequest, JsonResponse

from comparisons.cores import CORES
from comparisons.offload import N, fib
from comparisons.registry import SAME, Comparison, Expectation, Variant


@cache
def background_loops() -> Iterator[asyncio.AbstractEventLoop]:
    """Return two event loops in turn, each running in a thread of its own beside the server's."""
    loops = [asyncio.new_event_loop() for _ in range(2)]
    for loop in loops:
        Thread(target=loop.run_forever, daemon=True).start()
    return cycle(loops)


async def async_fib() -> int:
    return fib(N)


def sync(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"fib": fib(N)})


async def async_one_loop(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"fib": fib(N)})


async def async_two_loops(request: HttpRequest) -> JsonResponse:
    computing = asyncio.run_coroutine_threadsafe(async_fib(), next(background_loops()))
    return JsonResponse({"fib": await asyncio.wrap_future(computing)})


A_CORE_EACH = (
    "A core for each process; a quarter is left for the load generator, which needs one too."
)
ONE_GIL = (
    "The GIL lets one thread compute at a time, in whichever loop; a second core would double it."
)
COLOUR = "Twenty threads use one core as an event loop does: the work is the same."
comparison = Comparison(
    users=8,
    work=lambda: fib(N),
    variants=[
        Variant(sync, "wsgi-threads", cpu=True),
        Variant(async_one_loop, "asgi-uvicorn", name="async_one_process", cpu=True),
        Variant(async_one_loop, "asgi-uvicorn", name="async_two_processes", workers=2, cpu=True),
        Variant(async_two_loops, "asgi-uvicorn", cpu=True),
    ],
    expectations=[
        Expectation(
            "async_two_processes",
            "throughput",
            of="async_one_process",
            at_least=0.75 * min(2, CORES),
            users=8,
            why=A_CORE_EACH,
        ),
        Expectation(
            async_two_loops, "throughput", of="async_one_process", at_most=1.25, why=ONE_GIL
        ),
        Expectation(sync, "cpu_per_request", of="async_one_process", between=SAME, why=COLOUR),
    ],
)
