"""Sequential awaits across requests.

Claim: one `await` after another gains nothing within a request; yet as an API endpoint it lets one
    process serve many requests at once.
Blocks: nothing blocks the event loop: while one request waits, it serves others. A sync worker
    process serves nobody else meanwhile.
Instead: await, with one thread for all requests; or have a thread for each request that waits.
    What the request itself waits for is another matter: see sequential-awaits.
"""

from django.http import HttpRequest, JsonResponse

from comparisons.registry import NEAR, SAME, Comparison, Expectation, Variant
from comparisons.resources import async_upstream, upstream

WAITS_MS = (35, 25)
SUM = sum(WAITS_MS) / 1000


def sync(request: HttpRequest) -> JsonResponse:
    answers = [upstream().get(f"/wait/{ms}") for ms in WAITS_MS]
    return JsonResponse({"answers": [answer.json() for answer in answers]})


async def async_sequential(request: HttpRequest) -> JsonResponse:
    answers = [await async_upstream().get(f"/wait/{ms}") for ms in WAITS_MS]
    return JsonResponse({"answers": [answer.json() for answer in answers]})


SEQUENTIAL = "Within a request nothing is gained: it waits for the sum, as a thread does."
LITTLE = "By Little's law a loop that is free serves its users / wait: here only the wait is long."
ONE_BY_ONE = (
    "One process that serves one at a time gives 1 / wait; half of users times it is asked."
)
QUEUED = "Whoever comes to a busy worker waits for what it serves and for all who came before."
FREE = "A free loop answers at once: within a fifth of the wait, three times its own few ms."
THREADS = "A thread waits as well as a loop does, while there is one for every user."
comparison = Comparison(
    users=5,
    variants=[
        Variant(sync, "wsgi-sync", name="sync_one_worker", workers=1, wait=SUM),
        Variant(sync, "wsgi-threads", name="sync_threads", wait=SUM),
        Variant(async_sequential, "asgi-uvicorn", wait=SUM),
    ],
    expectations=[
        Expectation(
            async_sequential, "latency", of="sync_threads", between=SAME, users=5, why=SEQUENTIAL
        ),
        Expectation(async_sequential, "throughput", of="ceiling", at_least=NEAR, why=LITTLE),
        Expectation(
            async_sequential,
            "throughput",
            of="sync_one_worker",
            at_least=lambda users: users / 2,
            why=ONE_BY_ONE,
        ),
        Expectation("sync_one_worker", "bystander", of="wait", at_least=1, why=QUEUED),
        Expectation(async_sequential, "bystander", of="wait", at_most=0.2, why=FREE),
        Expectation(
            "sync_threads", "throughput", of=async_sequential, between=SAME, users=5, why=THREADS
        ),
    ],
)
