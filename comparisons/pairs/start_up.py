"""The start of an event loop.

Claim: starting an event loop costs, and a program that only does one thing after another gets
    nothing for it. Async is not inherently faster: it is another technique.
Blocks: nothing. Under WSGI each request to an async view starts a thread and an event loop in it,
    and ends both. Under ASGI each request to a sync view takes one more hop into a thread.
Instead: serve views where their colour is at home: sync ones under WSGI, async ones under ASGI; and
    write a script that has nothing to do at the same time without async.
"""

from collections.abc import Callable

from django.http import HttpRequest, JsonResponse

from comparisons.registry import Comparison, Expectation, Variant


def sync(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"trivial": True})  # so that what remains is what serving it costs


async def async_native(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"trivial": True})


# Two whole programs: their imports are theirs, because a script pays for them with every run.
def script_sync() -> list[int]:
    import os

    import httpx2

    with httpx2.Client(base_url=os.environ["UPSTREAM_URL"]) as client:
        first = client.get("/wait/1")
        second = client.get("/wait/1")
    return [first.status_code, second.status_code]


def script_async() -> list[int]:
    import asyncio
    import os

    import httpx2

    async def main() -> list[int]:
        async with httpx2.AsyncClient(base_url=os.environ["UPSTREAM_URL"]) as client:
            first = await client.get("/wait/1")
            second = await client.get("/wait/1")
        return [first.status_code, second.status_code]

    return asyncio.run(main())


SCRIPTS: tuple[Callable[[], list[int]], ...] = (script_sync, script_async)

comparison = Comparison(
    users=2,
    variants=[
        Variant(sync, "wsgi-threads"),
        Variant(async_native, "wsgi-threads", name="async_under_wsgi"),
        Variant(sync, "asgi-uvicorn", name="sync_under_asgi"),
        Variant(async_native, "asgi-uvicorn"),
    ],
    expectations=[
        # The same server and request; on top of it, a thread, an event loop, its selector and its
        # pair of sockets are made and ended.
        Expectation("async_under_wsgi", "cpu_per_request", of=sync, at_least=1.1),
        Expectation("async_under_wsgi", "throughput", of=sync, at_most=0.9),
        # One hop into a thread on top. Not much: Django takes such hops for an async view as well,
        # for the receivers of its signals (see thread-hops).
        Expectation("sync_under_asgi", "cpu_per_request", of=async_native, at_least=1),
        # Where nothing waits there is nothing to gain. A tenth is left for the servers' difference.
        Expectation(async_native, "throughput", of=sync, at_most=1.1),
    ],
)
