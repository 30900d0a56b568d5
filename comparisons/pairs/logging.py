"""Logging and print.

Claim: even `print` and logging block. With a handler that waits (for a disk, a socket, a mail
    server) it shows.
Blocks: a handler works in the thread that logs. This one waits until a collector has confirmed the
    record. A line that `print` writes to a file or a pipe blocks too, but for some µs: too little
    to matter beside a request, unless there are very many, or whoever reads the pipe is slow.
Instead: `QueueHandler` puts the record into a queue, and the thread of a `QueueListener` waits for
    the collector. That evens out bursts; it makes the collector no faster. When the queue is full,
    the choice is between losing records, as here, and waiting again.
"""

import atexit
import logging
import queue
from functools import cache
from logging.handlers import QueueHandler, QueueListener

from django.http import HttpRequest, JsonResponse

from comparisons.collector import CollectorHandler
from comparisons.registry import Comparison, Expectation, Variant
from comparisons.resources import async_upstream, upstream

WAIT_MS, COLLECTOR_MS = 100, 10
WAIT, COLLECTOR = WAIT_MS / 1000, COLLECTOR_MS / 1000
MOST_QUEUED = 100  # a second's worth for the collector: so long may the end of the process take
RECORDS: queue.Queue[logging.LogRecord] = queue.Queue()


class DroppingQueueHandler(QueueHandler):
    """Loses records while the queue is full. Python's own prints a traceback for each of them."""

    def enqueue(self, record: logging.LogRecord) -> None:
        start_listener()  # with the first record: not in a process that serves nothing
        if RECORDS.qsize() < MOST_QUEUED:
            RECORDS.put_nowait(record)


direct, queued = logging.getLogger("comparisons.direct"), logging.getLogger("comparisons.queued")
direct.addHandler(CollectorHandler(COLLECTOR_MS))
queued.addHandler(DroppingQueueHandler(RECORDS))
for logger in (direct, queued):
    logger.setLevel(logging.INFO)
    logger.propagate = False


@cache
def start_listener() -> None:
    listener = QueueListener(RECORDS, CollectorHandler(COLLECTOR_MS))
    listener.start()
    atexit.register(listener.stop)  # sends what is queued


def sync(request: HttpRequest) -> JsonResponse:
    direct.info("sending data to the service")
    answer = upstream().get(f"/wait/{WAIT_MS}")
    return JsonResponse(answer.json())


async def async_silent(request: HttpRequest) -> JsonResponse:
    answer = await async_upstream().get(f"/wait/{WAIT_MS}")
    return JsonResponse(answer.json())


async def async_print(request: HttpRequest) -> JsonResponse:
    print("sending data to the service")  # pitfall: blocks, if not for long
    answer = await async_upstream().get(f"/wait/{WAIT_MS}")
    return JsonResponse(answer.json())


async def async_blocking(request: HttpRequest) -> JsonResponse:
    direct.info("sending data to the service")  # pitfall: waits for the collector
    answer = await async_upstream().get(f"/wait/{WAIT_MS}")
    return JsonResponse(answer.json())


async def async_queued(request: HttpRequest) -> JsonResponse:
    queued.info("sending data to the service")
    answer = await async_upstream().get(f"/wait/{WAIT_MS}")
    return JsonResponse(answer.json())


comparison = Comparison(
    users=6,
    variants=[
        Variant(sync, "wsgi-threads", wait=WAIT + COLLECTOR),
        Variant(async_silent, "asgi-uvicorn", wait=WAIT),
        Variant(async_print, "asgi-uvicorn", wait=WAIT, pitfall=True),
        Variant(async_blocking, "asgi-uvicorn", wait=WAIT + COLLECTOR, pitfall=True),
        Variant(async_queued, "asgi-uvicorn", wait=WAIT),
    ],
    expectations=[
        # A round takes a user WAIT, and COLLECTOR more where it blocks: a tenth, if no two records
        # come at once. Half of that is asked for.
        Expectation(async_blocking, "throughput", of=async_queued, at_most=0.95),
        # 50 records/s hold the loop for 10 ms each: half of the time. The slowest of the bystanders
        # come as one begins; they wait for its end at least.
        Expectation(
            async_blocking, "bystander_p99", of="wait", at_least=COLLECTOR / (WAIT + COLLECTOR)
        ),
        # With the queue the loop waits for nobody. Half is left for the listener's own share of the
        # GIL, and for what a bystander costs by itself.
        Expectation(async_queued, "bystander", of=async_blocking, at_most=0.5),
        # Handing a record over takes as long as a line of print: some µs in a wait of 100 ms.
        Expectation(async_queued, "throughput", of=async_silent, between=(0.9, 1.1)),
        # Too small to matter: a line is a system call or two, some µs in a request of some ms. A
        # fifth is left because the kernel counts a process's CPU time in ticks of 10 ms.
        Expectation(async_print, "cpu_per_request", of=async_silent, between=(0.8, 1.25)),
        Expectation(async_print, "bystander", of=async_blocking, at_most=0.5),
        # In a thread of its own the wait for the collector is nobody else's.
        Expectation(sync, "bystander", of=async_blocking, at_most=0.5),
    ],
)
