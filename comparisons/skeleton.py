"""Two calls of a service, in turn or at once.

Claim: calls that do not need each other's answers take as long as the longest, if they are awaited
    together.
Blocks: nothing blocks here; `await` one after another only waits for each call in turn.
Instead: `asyncio.gather`; in a sync view, threads.
"""

# This is a pair of your own: `python manage.py newpair` wrote it, and it runs as it is. Change the
# words above (a title, then Claim:, Blocks: and Instead:), the views, and what you expect of them.

import asyncio
from concurrent.futures import ThreadPoolExecutor

from django.http import HttpRequest, JsonResponse

from comparisons.registry import NEAR, Comparison, Expectation, Variant

# upstream() and async_upstream() are clients of a service that this project simulates: GET /wait/50
# is answered after 50 ms. Put your own calls in their place, the same ones in all views.
from comparisons.resources import async_upstream, upstream

WAIT_MS = 50
WAIT = WAIT_MS / 1000
PATHS = [f"/wait/{WAIT_MS}", f"/wait/{WAIT_MS}"]


# A view's name is its variant's, and begins with its colour. All of them give the same answer.
def sync(request: HttpRequest) -> JsonResponse:
    answers = [upstream().get(path).json() for path in PATHS]
    return JsonResponse({"answers": answers})


# Give sync a fair chance: where the async view does two things at once, so does this one.
def sync_threads(request: HttpRequest) -> JsonResponse:
    with ThreadPoolExecutor(len(PATHS)) as threads:
        answers = [response.json() for response in threads.map(upstream().get, PATHS)]
    return JsonResponse({"answers": answers})


async def async_sequential(request: HttpRequest) -> JsonResponse:
    answers = [(await async_upstream().get(path)).json() for path in PATHS]  # pitfall: in turn
    return JsonResponse({"answers": answers})


async def async_gathered(request: HttpRequest) -> JsonResponse:
    responses = await asyncio.gather(*(async_upstream().get(path) for path in PATHS))
    return JsonResponse({"answers": [response.json() for response in responses]})


comparison = Comparison(
    users=6,  # at once; each sends the next request as soon as the last is answered
    variants=[
        # wait: the least seconds that a request waits. It gives the ceiling: users / wait.
        # Deployments: python manage.py serve --help
        Variant(sync, "wsgi-threads", wait=2 * WAIT),
        Variant(sync_threads, "wsgi-threads", wait=WAIT),
        Variant(async_sequential, "asgi-uvicorn", wait=2 * WAIT, pitfall=True),
        Variant(async_gathered, "asgi-uvicorn", wait=WAIT),
    ],
    expectations=[
        # What the claim says, with the reason for its number. More of them, and all metrics: see
        # "Adding a comparison" in this project's README.
        Expectation(
            async_gathered,
            "throughput",
            of=async_sequential,
            at_least=1.5,
            why="It waits half as long; a quarter is left for what a request costs besides.",
        ),
        Expectation(
            async_gathered,
            "throughput",
            of="ceiling",
            at_least=NEAR,
            why="By Little's law a free event loop serves users / wait.",
        ),
        Expectation(
            sync_threads,
            "throughput",
            of=sync,
            at_least=1.5,
            why="Two threads wait as two awaited calls do.",
        ),
        Expectation(
            async_gathered,
            "bystander",
            of="wait",
            at_most=0.5,
            why="A free loop answers whoever else comes at once.",
        ),
    ],
)
