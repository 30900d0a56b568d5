"""Writing async before a function.

Claim: `async` before a function makes nothing non-blocking: it must give control back somehow, and
    giving it back too eagerly can cost more than it brings.
Blocks: a coroutine that awaits only itself, as `async_fib`, runs to its end like any function.
Instead: await `sleep(0)` every fraction of a ms. It only shares the thread: see gil, cpu-offload.
"""

import asyncio

from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant

N = 24
PAUSE_AT = 15  # of 150,049 calls, one in 2,700 pauses
PAUSE_TOO_OFTEN = 5  # one in 20


def fib(n: int) -> int:
    return n if n <= 1 else fib(n - 1) + fib(n - 2)


async def async_fib(n: int) -> int:
    return n if n <= 1 else await async_fib(n - 1) + await async_fib(n - 2)


async def pausing_fib(n: int, pause_at: int) -> int:
    if n <= 1:
        return n
    if n % pause_at == 0:
        await asyncio.sleep(0)
    return await pausing_fib(n - 1, pause_at) + await pausing_fib(n - 2, pause_at)


def sync(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"fib": fib(N)})


async def async_blocking(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"fib": fib(N)})  # pitfall: no linter knows that fib computes


async def async_def(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"fib": await async_fib(N)})  # pitfall: an await that waits for nothing


async def async_too_eager(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"fib": await pausing_fib(N, PAUSE_TOO_OFTEN)})  # pitfall: all pauses


async def async_yielding(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"fib": await pausing_fib(N, PAUSE_AT)})


QUEUED = "Whoever comes while it computes waits for its end, and then for those who came before."
COROUTINES = "The same calls, and a coroutine made, started and ended for each of them."
PAUSES = "It pauses 55 times in a fib; half is left for the four who compute in turn."
LITTLE = "55 turns of the loop, of µs, in 20 ms; a third is for asking each time whether to pause."
TOO_OFTEN = "A turn of the loop costs about as much as the 20 calls between two; half is asked for."
comparison = Comparison(
    users=4,
    work=lambda: fib(N),
    variants=[
        Variant(sync, "wsgi-threads", cpu=True),
        Variant(async_blocking, "asgi-uvicorn", cpu=True, pitfall=True),
        Variant(async_def, "asgi-uvicorn", cpu=True, pitfall=True),
        Variant(async_too_eager, "asgi-uvicorn", cpu=True, pitfall=True),
        Variant(async_yielding, "asgi-uvicorn", cpu=True),
    ],
    expectations=[
        Expectation(
            (async_blocking, async_def), "bystander", of="work", at_least=1, users=4, why=QUEUED
        ),
        Expectation(async_def, "throughput", of=async_blocking, at_most=1, why=COROUTINES),
        Expectation(async_yielding, "bystander", of=async_def, at_most=0.5, users=4, why=PAUSES),
        Expectation(async_yielding, "cpu_per_request", of=async_def, at_most=1.33, why=LITTLE),
        Expectation(async_too_eager, "throughput", of=async_yielding, at_most=0.8, why=TOO_OFTEN),
    ],
)
