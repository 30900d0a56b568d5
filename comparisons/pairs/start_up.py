"""The start of an event loop.

Claim: starting an event loop costs, and a program that only does one thing after another gets
    nothing for it. Async is not inherently faster: it is another technique.
Blocks: nothing. Under WSGI each request to an async view starts a thread and an event loop in it,
    and ends both. Under ASGI each request to a sync view takes one more hop into a thread.
Instead: serve views where their colour is at home: sync ones under WSGI, async ones under ASGI; and
    write a script that has nothing to do at the same time without async.
"""

import subprocess
import sys
from pathlib import Path

from django.http import HttpRequest, JsonResponse

from comparisons import scripts
from comparisons.registry import Comparison, Expectation, Variant

SCRIPTS = Path(str(scripts.__file__)).parent


def sync(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"trivial": True})  # so that what remains is what serving it costs


async def async_native(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"trivial": True})


# A script is a process from its start to its end, run here by a view: what the view costs is alike.
def sync_runs_sync_script(request: HttpRequest) -> JsonResponse:
    subprocess.run([sys.executable, SCRIPTS / "sync_script.py"], check=True)
    return JsonResponse({"trivial": True})


def sync_runs_async_script(request: HttpRequest) -> JsonResponse:
    subprocess.run([sys.executable, SCRIPTS / "async_script.py"], check=True)
    return JsonResponse({"trivial": True})


LOOP = "A request's thread, event loop, selector and sockets are made and ended: a tenth at least."
HOP = "A sync view takes one hop into a thread more than an async one, which costs CPU time."
NOTHING = "Where nothing waits, awaiting gains nothing: async is not faster by itself."
SCRIPT = "The same two calls, one after another: the loop and asyncio's import are only paid for."
comparison = Comparison(
    users=2,
    variants=[
        Variant(sync, "wsgi-threads"),
        Variant(async_native, "wsgi-threads", name="async_under_wsgi"),
        Variant(sync, "asgi-uvicorn", name="sync_under_asgi"),
        Variant(async_native, "asgi-uvicorn"),
        Variant(sync_runs_sync_script, "wsgi-threads"),
        Variant(sync_runs_async_script, "wsgi-threads"),
    ],
    expectations=[
        Expectation("async_under_wsgi", "cpu_per_request", of=sync, at_least=1.1, why=LOOP),
        Expectation("async_under_wsgi", "throughput", of=sync, at_most=0.9, why=LOOP),
        Expectation("sync_under_asgi", "cpu_per_request", of=async_native, at_least=1, why=HOP),
        Expectation(async_native, "throughput", of=sync, at_most=1, why=NOTHING),
        Expectation(
            sync_runs_async_script,
            "cpu_per_request",
            of=sync_runs_sync_script,
            at_least=1,
            why=SCRIPT,
        ),
    ],
)
