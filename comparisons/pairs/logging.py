"""Logging.

Claim: even logging blocks. With a handler that waits (for a disk, a socket, a server) it shows.
Blocks: a handler works in the thread that logs; this one waits until a collector has confirmed.
Instead: `QueueHandler` queues the record, and the thread of a `QueueListener` waits. That evens out
    bursts; while the queue is full, records are lost, as here, or whoever logs waits again.
"""

import atexit
import logging
import queue
from functools import cache
from logging.handlers import QueueHandler, QueueListener

from django.http import HttpRequest, JsonResponse

from comparisons.collector import CollectorHandler, logger_to
from comparisons.registry import NEAR, Comparison, Expectation, Variant
from comparisons.resources import async_upstream, upstream

WAIT_MS, COLLECTOR_MS = 100, 10
WAIT = WAIT_MS / 1000
BLOCKED_WAIT = (WAIT_MS + COLLECTOR_MS) / 1000
HOLD = COLLECTOR_MS / (WAIT_MS + COLLECTOR_MS)
MAX_QUEUED = 100  # a second's worth for the collector: so long may the end of the process take
RECORDS: queue.Queue[logging.LogRecord] = queue.Queue()


class DroppingQueueHandler(QueueHandler):
    def enqueue(self, record: logging.LogRecord) -> None:
        start_listener()  # with the first record: not in a process that serves nothing
        if RECORDS.qsize() < MAX_QUEUED:  # else lost; Python's own prints a traceback for each
            RECORDS.put_nowait(record)


@cache
def start_listener() -> None:
    listener = QueueListener(RECORDS, CollectorHandler(COLLECTOR_MS))
    listener.start()
    atexit.register(listener.stop)  # sends what is queued


direct = logger_to(CollectorHandler(COLLECTOR_MS))
queued = logger_to(DroppingQueueHandler(RECORDS))


def sync(request: HttpRequest) -> JsonResponse:
    direct.info("sending data to the service")
    return JsonResponse(upstream().get(f"/wait/{WAIT_MS}").json())


async def async_blocking(request: HttpRequest) -> JsonResponse:
    direct.info("sending data to the service")  # pitfall: waits for the collector
    return JsonResponse((await async_upstream().get(f"/wait/{WAIT_MS}")).json())


async def async_queued(request: HttpRequest) -> JsonResponse:
    queued.info("sending data to the service")
    return JsonResponse((await async_upstream().get(f"/wait/{WAIT_MS}")).json())


UNHELD = (async_queued, sync)
LONGER = "A request takes a tenth longer where it waits for the collector; half of that is asked."
HELD = "Each record holds the loop for 10 ms; who comes as one begins waits for all of it."
OWN = "In a thread of its own it holds nobody up; half is left for its share of the GIL."
CHEAP = "To hand a record over takes some µs, beside a wait of 100 ms."
comparison = Comparison(
    users=6,
    variants=[
        Variant(sync, "wsgi-threads", wait=BLOCKED_WAIT),
        Variant(async_blocking, "asgi-uvicorn", wait=BLOCKED_WAIT, pitfall=True),
        Variant(async_queued, "asgi-uvicorn", wait=WAIT),
    ],
    expectations=[
        Expectation(async_blocking, "latency", of=async_queued, at_least=1.05, why=LONGER),
        Expectation(async_blocking, "bystander_max", of="wait", at_least=HOLD, users=6, why=HELD),
        Expectation(UNHELD, "bystander_max", of=async_blocking, at_most=0.5, users=6, why=OWN),
        Expectation(async_queued, "throughput", of="ceiling", at_least=NEAR, why=CHEAP),
    ],
)
