"""Sequential awaits across requests.

Claim: one `await` after another gains nothing within a request; yet as an API endpoint it lets one
    process serve many requests at once.
Blocks: nothing blocks the event loop: while one request waits, it serves others. A sync worker
    process serves nobody else meanwhile.
Instead: await, with one thread for all requests; or have a thread for each request that waits.
    What the request itself waits for is another matter: see sequential-awaits.
"""

from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_upstream, upstream

WAITS_MS = (35, 25)
SUM = sum(WAITS_MS) / 1000


def sync(request: HttpRequest) -> JsonResponse:
    answers = [upstream().get(f"/wait/{ms}") for ms in WAITS_MS]
    return JsonResponse({"answers": [answer.json() for answer in answers]})


async def async_sequential(request: HttpRequest) -> JsonResponse:
    answers = [await async_upstream().get(f"/wait/{ms}") for ms in WAITS_MS]
    return JsonResponse({"answers": [answer.json() for answer in answers]})


comparison = Comparison(
    users=5,
    variants=[
        Variant(sync, "wsgi-sync", name="sync_one_worker", workers=1, wait=SUM),
        Variant(sync, "wsgi-threads", name="sync_threads", wait=SUM),
        Variant(async_sequential, "asgi-uvicorn", wait=SUM),
    ],
    expectations=[
        # Within a request nothing is gained: it waits for the sum.
        Expectation(async_sequential, "latency", of="wait", at_least=1),
        # Little's law across requests, users / wait; 15 % is left for Django, two calls and the
        # network.
        Expectation(async_sequential, "throughput", of="ceiling", at_least=0.85),
        # One process that serves one at a time: 1 / wait. Half of the ratio is left for the stacks.
        Expectation(
            async_sequential, "throughput", of="sync_one_worker", at_least=lambda users: users / 2
        ),
        # Whoever comes to a busy worker waits for the end of a request, then for those queued.
        Expectation("sync_one_worker", "bystander", of="wait", at_least=1),
        # A free loop answers at once: a fifth of the wait is generous.
        Expectation(async_sequential, "bystander", of="wait", at_most=0.2),
        # A thread waits as well as a loop does, while there are threads enough.
        Expectation("sync_threads", "throughput", of=async_sequential, between=(0.9, 1.1)),
    ],
)
