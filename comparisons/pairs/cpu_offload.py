"""Where to do CPU-bound work.

Claim: starting a process is expensive. Offload CPU work to processes that already run, to a service
    of its own, for which an async program only waits, or to native code, which saves that too.
Blocks: `async_new_process` starts and ends a process for every request, and its event loop stands
    still for a part of both.
Instead: a pool started once; a service, over HTTP; native code that gives up the GIL, in a thread.
"""

import asyncio

from django.http import HttpRequest, JsonResponse

from comparisons.offload import (
    N,
    async_cpu_service,
    fib,
    native_fib,
    new_process_pool,
    process_pool,
)
from comparisons.registry import NEAR, Comparison, Expectation, Variant


def sync(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"fib": fib(N)})


async def async_new_process(request: HttpRequest) -> JsonResponse:
    loop = asyncio.get_running_loop()
    with new_process_pool(1) as pool:  # pitfall: starts a process, and waits for its end
        return JsonResponse({"fib": await loop.run_in_executor(pool, fib, N)})


async def async_process(request: HttpRequest) -> JsonResponse:
    loop = asyncio.get_running_loop()
    return JsonResponse({"fib": await loop.run_in_executor(process_pool(), fib, N)})


async def async_service(request: HttpRequest) -> JsonResponse:
    answer = await async_cpu_service().get(f"/fib/{N}")
    return JsonResponse(answer.json())


async def async_native_code(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"fib": await asyncio.to_thread(native_fib, N)})


STARTS = "To start and to end a process takes about as long as the 10 ms; a quarter is asked for."
STANDS = "The loop stands still in `with` until the process has ended; two thirds are for cores."
ONE_CORE = "The service has a core, and uses it: what a request costs besides is done elsewhere."
WAITS = "The server waits, as for any service; whoever came while it computed would wait longer."
ELSEWHERE = "What the work costs is the service's; a call costs less than half of it."
MACHINE = "Machine code takes a tenth of the time or less; Django itself is the limit then."
NO_CALL = "There is no HTTP call to pay for: a hop into a thread instead of a client."
comparison = Comparison(
    users=4,
    work=lambda: fib(N),
    variants=[
        Variant(sync, "wsgi-threads", cpu=True),
        Variant(async_new_process, "asgi-uvicorn", pitfall=True),
        Variant(async_process, "asgi-uvicorn"),
        Variant(async_service, "asgi-uvicorn", cpu=True),
        Variant(async_native_code, "asgi-uvicorn"),
    ],
    expectations=[
        Expectation(
            async_new_process, "cpu_per_request", of=async_process, at_least=1.25, why=STARTS
        ),
        Expectation(async_process, "bystander", of=async_new_process, at_most=0.67, why=STANDS),
        Expectation(
            async_service, "throughput", of="ceiling", at_least=NEAR, users=4, why=ONE_CORE
        ),
        Expectation(async_service, "bystander", of="work", at_most=1, why=WAITS),
        Expectation(async_service, "cpu_per_request", of=async_process, at_most=0.5, why=ELSEWHERE),
        Expectation(async_native_code, "throughput", of=async_process, at_least=2, why=MACHINE),
        Expectation(async_native_code, "cpu_per_request", of=async_service, at_most=1, why=NO_CALL),
    ],
)
