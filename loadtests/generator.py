"""The load generator: a locust process that `compare` starts once and gives round after round.

`python -m loadtests.generator` reads orders (a JSON object a line) from stdin and writes events (a
JSON object a line) to stdout: `ready` once, and for each order `open` and `close` when the measured
window opens and closes, then `round` with the samples. It ends when stdin does.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import gevent.event
from locust import constant
from locust.env import Environment
from locust.log import setup_logging

from loadtests.locustfile import SPREAD, USERS, Bystander, CheckingUser, digest, open_loop

LONGEST_WARM_UP = 20  # seconds
LONGEST_SPREAD = 5  # seconds
LONGEST_WINDOW = 5  # seconds more than was asked for
LONGEST_DRAIN = 60  # seconds
MARGIN = 0.1  # seconds before the first answer is due


def run_round(order: dict[str, Any]) -> dict[str, Any]:
    """One round: warm up, measure, and wait until every request is answered.

    The window lasts `window` seconds and until `fewest` answers have come.

    order: {"comparison", "variant", "host", "server", "users", "spread", "window", "fewest",
    "rate", "waiting"}; a rate (requests/s) makes it an open loop, null the closed loop of that many
    users, who come spread over `spread` seconds. With `waiting` seconds each of them sends one
    request, which waits for so long, and the window ends before.
    Returns {"opened", "closed": time.time(), "cpu": 0..1 of a core, "samples", "bystander",
    "send_delay": ms, p99 of an open loop}; a sample is [start (time.time()), latency in ms, status,
    CRC-32 of the body, error or null].
    """
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
    runner.start(users + Bystander.fixed_count, spawn_rate=100_000)
    if order["waiting"]:
        until(lambda: user_class.started == users, LONGEST_WARM_UP)
        user_class.gate.set()
        # Late: by then all have been sent and have come in, but none is answered yet.
        gevent.sleep(order["waiting"] - order["window"] - MARGIN)
    else:  # steady state: every user has been answered once
        until(lambda: len(answered) == users + 1, LONGEST_WARM_UP)
    emit("open")
    opened, cpu = time.time(), time.process_time()
    gevent.sleep(order["window"])
    if not order["waiting"]:
        # A slow view needs longer to be worth a number; the last answer then closes the window.
        until(lambda: len(answered_since(opened)) >= order["fewest"], LONGEST_WINDOW)
    closed, cpu = time.time(), time.process_time() - cpu
    emit("close")
    runner.quit()
    return {
        **{"opened": opened, "closed": closed, "cpu": cpu / (closed - opened)},
        **{"samples": samples[user_class], "bystander": samples[Bystander]},
        "send_delay": sorted(delays)[int(0.99 * len(delays))] if delays else 0,
    }


def until(condition: Callable[[], bool], limit: float) -> None:
    """Returns when it is true, or after `limit` seconds."""
    patience = time.monotonic() + limit
    while not condition() and time.monotonic() < patience:
        gevent.sleep(0.005)


def emit(event: str, **data: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, **data}) + "\n")
    sys.stdout.flush()


def main() -> None:
    setup_logging("ERROR")
    emit("ready")
    for line in sys.stdin:
        emit("round", **run_round(json.loads(line)))


if __name__ == "__main__":
    main()
