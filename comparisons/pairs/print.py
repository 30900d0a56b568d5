"""Print.

Claim: even `print` blocks, if not for long.
Blocks: the event loop's thread writes the line itself. That takes some µs, too little to matter
    beside a request, unless there are very many lines, or whoever reads the pipe is slow.
Instead: print where it is easiest. What may wait for a disk, a socket or a mail server is for a
    queue and a thread: see logging.
"""

from django.http import HttpRequest, JsonResponse

from comparisons.registry import SAME, Comparison, Expectation, Variant
from comparisons.resources import async_upstream, upstream

WAIT_MS = 100
WAIT = WAIT_MS / 1000


def sync(request: HttpRequest) -> JsonResponse:
    print("sending data to the service")
    answer = upstream().get(f"/wait/{WAIT_MS}")
    return JsonResponse(answer.json())


async def async_print(request: HttpRequest) -> JsonResponse:
    print("sending data to the service")  # pitfall: blocks, if not for long
    answer = await async_upstream().get(f"/wait/{WAIT_MS}")
    return JsonResponse(answer.json())


async def async_silent(request: HttpRequest) -> JsonResponse:
    answer = await async_upstream().get(f"/wait/{WAIT_MS}")
    return JsonResponse(answer.json())


SMALL = "A line is a system call or two, some µs in a request of some ms: less than a tenth of it."
FREE = (
    "The loop is held for µs while it prints: a bystander waits no longer than a tenth of the wait."
)
UNSEEN = "A line of print takes no part of the wait that could be measured, in whichever colour."
comparison = Comparison(
    users=6,
    variants=[
        Variant(sync, "wsgi-threads", wait=WAIT),
        Variant(async_print, "asgi-uvicorn", wait=WAIT, pitfall=True),
        Variant(async_silent, "asgi-uvicorn", wait=WAIT),
    ],
    expectations=[
        Expectation(async_print, "cpu_per_request", of=async_silent, between=(0.9, 1.1), why=SMALL),
        Expectation(async_print, "bystander", of="wait", at_most=0.1, why=FREE),
        Expectation(
            (async_print, sync), "throughput", of=async_silent, between=SAME, users=6, why=UNSEEN
        ),
    ],
)
