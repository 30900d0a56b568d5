"""The load generator: a locust process that `compare` starts once and gives round after round.

`python -m loadtests.generator` reads orders (a JSON object a line) from stdin and writes events (a
JSON object a line) to stdout: `ready` once, and for each order `open` and `close` when the measured
window opens and closes, then `round` with the samples. It ends when stdin does.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import gevent.event
from locust import constant
from locust.env import Environment
from locust.log import setup_logging

from loadtests.locustfile import SPREAD, USERS, Bystander, CheckingUser, digest, open_loop
from loadtests.orders import CORE

LONGEST_WARM_UP = 20  # seconds
LONGEST_SPREAD = 5  # seconds
LONGEST_WINDOW = 5  # seconds more than was asked for
LONGEST_DRAIN = 60  # seconds
MARGIN = 0.1  # seconds before the first answer is due
BEAT = 0.02  # seconds


def run_round(order: dict[str, Any]) -> dict[str, Any]:
    """One round: warm up, measure, and wait until every request is answered.

    The window lasts `window` seconds and until `fewest` answers have come.

    order: {"comparison", "variant", "host", "server", "users", "spread", "window", "fewest",
    "rate", "waiting"}; a rate (requests/s) makes it an open loop, null the closed loop of that many
    users, who come spread over `spread` seconds. With `waiting` seconds each of them sends one
    request, which waits for so long, and the window ends before.
    Returns {"opened", "closed": time.time(), "cpu": 0..1 of a core, "samples", "bystander",
    "send_delay": ms, p99 of an open loop, "stall": seconds, "clock_jump": seconds}; a sample is
    [start (time.time()), latency in ms, status, CRC-32 of the body, error or null].
    """
    offset = clock_offset()
    user_class: type[CheckingUser]
    if order["rate"] is None:
        users = order["users"]
        user_class = USERS[order["comparison"], order["variant"]]
        user_class.started = 0
        user_class.spread = min(order["spread"] or SPREAD, LONGEST_SPREAD)
    else:
        users = 1
        user_class = open_loop(order["comparison"], order["variant"], order["rate"])
    user_class.server = Bystander.server = order["server"]
    samples: dict[type, list[list[Any]]] = {user_class: [], Bystander: []}
    delays: list[float] = []
    answered: set[CheckingUser] = set()

    def record(
        response_time: float,
        response: Any,
        start_time: float,
        exception: Any,
        context: Any,
        **_: Any,
    ) -> None:
        start = context["due"] or start_time
        latency = response_time + 1000 * (start_time - start)
        error = str(exception) if exception else None
        row = [start, latency, response.status_code, digest(response), error]
        samples[type(context["user"])].append(row)
        if type(context["user"]) is user_class:
            delays.append(1000 * (start_time - start))
        answered.add(context["user"])

    def answered_since(moment: float) -> list[list[Any]]:
        return [row for row in samples[user_class] if row[0] + row[1] / 1000 >= moment]

    environment = Environment(
        user_classes=[user_class, Bystander], host=order["host"], stop_timeout=LONGEST_DRAIN
    )
    environment.events.request.add_listener(record)
    runner = environment.create_local_runner()
    if order["waiting"]:
        user_class.seconds, user_class.gate = order["waiting"], gevent.event.Event()
        user_class.wait_time = constant(LONGEST_DRAIN)  # after its one request
    with heartbeat() as gaps:
        runner.start(users + Bystander.fixed_count, spawn_rate=100_000)
        if order["waiting"]:
            until(lambda: user_class.started == users, LONGEST_WARM_UP)
            user_class.gate.set()
            # Late: by then all have been sent and have come in, but none is answered yet.
            gevent.sleep(order["waiting"] - order["window"] - MARGIN)
        else:  # steady state: every user has been answered once
            until(lambda: len(answered) == users + 1, LONGEST_WARM_UP)
        opened, cpu = time.time(), time.process_time()
        emit("open", at=opened)
        gevent.sleep(order["window"])
        if not order["waiting"]:
            # A slow view needs longer to be worth a number; the last answer closes the window.
            until(lambda: len(answered_since(opened)) >= order["fewest"], LONGEST_WINDOW)
        closed, cpu = time.time(), time.process_time() - cpu
        emit("close", at=closed)
        runner.quit()
    # What counts was under way from `first` to `last`; to send requests that only wait is not yet.
    in_window = [row for row in answered_since(opened) if row[0] + row[1] / 1000 <= closed]
    called = [row for row in samples[Bystander] if opened <= row[0] <= closed]
    first = opened if order["waiting"] else min([opened, *(row[0] for row in in_window)])
    last = max([closed, *(row[0] + row[1] / 1000 for row in called)])
    return {
        **{"opened": opened, "closed": closed, "cpu": cpu / (closed - opened)},
        **{"samples": samples[user_class], "bystander": samples[Bystander]},
        "send_delay": sorted(delays)[int(0.99 * len(delays))] if delays else 0,
        "stall": max([end - start for start, end in gaps if start < last and end > first] or [0]),
        "clock_jump": clock_offset() - offset,
    }


@contextmanager
def heartbeat() -> Iterator[list[tuple[float, float]]]:
    """Beats all through the block; the list has when (time.time()) this process did nothing.

    A stop (SIGSTOP), or one callback that keeps the event loop to itself.
    """
    gaps = []

    def beat() -> None:
        while True:
            before = time.monotonic()
            gevent.sleep(BEAT)
            gap = time.monotonic() - before
            if gap > 2 * BEAT:
                gaps.append((time.time() - gap, time.time()))

    beating = gevent.spawn(beat)
    try:
        yield gaps
    finally:
        beating.kill()


def clock_offset() -> float:
    """From the monotonic clock to the wall clock; the most of five, for between is no time."""
    return max(time.time() - time.monotonic() for _ in range(5))


def until(condition: Callable[[], bool], limit: float) -> None:
    """Returns when it is true, or after `limit` seconds."""
    patience = time.monotonic() + limit
    while not condition() and time.monotonic() < patience:
        gevent.sleep(0.005)


def emit(event: str, **data: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, **data}) + "\n")
    sys.stdout.flush()


def main() -> None:
    if core := os.environ.get(CORE):
        os.sched_setaffinity(0, [int(core)])
    setup_logging("ERROR")
    emit("ready")
    for line in sys.stdin:
        emit("round", **run_round(json.loads(line)))


if __name__ == "__main__":
    main()
