"""Many small hops into a thread.

Claim: handing work to a thread has a cost of its own. Many small calls hurt, and overuse eats up
    what async has won.
Blocks: each hop wakes a thread, hands it the GIL, and wakes the event loop again: for a call that
    takes a microsecond, all of it is overhead.
Instead: hop once, with all the calls in one function; or do not hop for what does not wait.
"""

from asgiref.sync import sync_to_async
from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant

CALLS = 20


def step(number: int) -> int:
    """Trivial and pure, so that the hop is what costs."""
    return number * 31 % 1009


def all_steps(number: int) -> int:
    for _ in range(CALLS):
        number = step(number)
    return number


def sync(request: HttpRequest) -> JsonResponse:
    number = 1
    for _ in range(CALLS):
        number = step(number)
    return JsonResponse({"number": number})


async def async_many_hops(request: HttpRequest) -> JsonResponse:
    number = 1
    for _ in range(CALLS):
        number = await sync_to_async(step)(number)  # pitfall: a hop for each call
    return JsonResponse({"number": number})


async def async_one_hop(request: HttpRequest) -> JsonResponse:
    number = await sync_to_async(all_steps)(1)
    return JsonResponse({"number": number})


async def async_native(request: HttpRequest) -> JsonResponse:
    number = 1
    for _ in range(CALLS):
        number = step(number)
    return JsonResponse({"number": number})


HOPS = "A hop wakes two threads and passes the GIL twice; twenty add half a ms to a request of one."
ONE_HOP = "Django hops twice itself for each request: a third hop adds less than half."
NOTHING = "A request of this kind waits for nothing: there was nothing to win, only to lose."
comparison = Comparison(
    users=4,
    variants=[
        Variant(sync, "wsgi-threads"),
        Variant(async_many_hops, "asgi-uvicorn", pitfall=True),
        Variant(async_one_hop, "asgi-uvicorn"),
        Variant(async_native, "asgi-uvicorn"),
    ],
    expectations=[
        Expectation(async_many_hops, "cpu_per_request", of=async_native, at_least=1.5, why=HOPS),
        Expectation(async_many_hops, "throughput", of=async_native, at_most=0.67, why=HOPS),
        Expectation(async_one_hop, "cpu_per_request", of=async_native, at_most=1.5, why=ONE_HOP),
        Expectation(async_one_hop, "throughput", of=async_many_hops, at_least=1.5, why=HOPS),
        Expectation(async_many_hops, "throughput", of=sync, at_most=0.67, why=NOTHING),
    ],
)
