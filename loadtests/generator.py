"""The load generator: one of the locust processes that `compare` starts once, for all rounds.

`python -m loadtests.generator` reads orders from stdin and writes events to stdout (see orders.py).
It ends when stdin does.
"""

import gc
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import urlsplit

import gevent
import gevent.event
from gevent.select import select
from locust import constant
from locust.env import Environment
from locust.log import setup_logging

from loadtests import raw, readers_locustfile
from loadtests.asks import Ask
from loadtests.crowds import source_addresses
from loadtests.locustfile import (
    SPREAD,
    UNDER_WAY,
    USERS,
    Bystander,
    CheckingUser,
    digest,
    mix_user,
    open_loop,
    served_by,
)
from loadtests.orders import CORE, GO, LEFT, LoadResult, Order, Talk

# Seconds
WARM_UP_TIMEOUT = 20
MAX_SPREAD = 5
MAX_OVERTIME = 5  # more than the window that was asked for
DRAIN_TIMEOUT = 60
ANSWER_TIMEOUT = 1  # of a bystander
PATIENCE = 5  # of users who are ready, until the round before has ended; then they come again
MARGIN = 0.1  # before the first answer is due
COMING = 0.75  # share of the time before the window in which users who only wait come
BEAT = 0.02

EVENTS = sys.stdout

Gap = tuple[float, float]  # time.time() of its start and of its end


class Recording:
    """What the users of a round were answered; samples as in LoadResult."""

    def __init__(self, any_body: bool = False, server: str | None = None) -> None:
        """any_body: digests are 0. server: what X-Deployment must say, where users do not look."""
        self.samples: list[list[Any]] = []
        self.bystander: list[list[Any]] = []
        self.send_delays: list[float] = []  # ms, of the variant's requests
        self.answered: set[Any] = set()  # users
        self._any_body, self._server = any_body, server

    def add(
        self,
        response_time: float,
        response: Any,
        start_time: float,
        exception: Any,
        context: Any,
        **_: Any,
    ) -> None:
        """Listen to locust's event of an answer. Its latency counts from when it was due."""
        if "user" not in context:  # no request, but an event of the reader's own
            return
        start = context["due"] or start_time
        delay = 1000 * (start_time - start)
        if response is not None:
            error = str(exception) if exception else None
            if self._server and not error and (served := served_by(response)) != self._server:
                error = f"answered by {served!r} instead of {self._server!r}"
            body = 0 if self._any_body else digest(response)
            sample = [start, response_time + delay, response.status_code, body, error]
        else:
            sample = [start, response_time + delay, 0, 0, LEFT]
        if first_byte_ms := context.get("first_byte_ms"):
            sample.append(first_byte_ms)
        if isinstance(context["user"], Bystander):
            self.bystander.append(sample)
        else:
            self.samples.append(sample)
            self.send_delays.append(delay)
        self.answered.add(context["user"])

    def add_unanswered(self, now: float) -> None:
        """Record what was asked for and not answered until now: a server that stands still hides
        nothing.
        """
        for user, due in UNDER_WAY:
            sample = [due, 1000 * (now - due), 0, 0, f"not answered in {now - due:.0f} s"]
            (self.bystander if isinstance(user, Bystander) else self.samples).append(sample)
        UNDER_WAY.clear()

    def answers_since(self, moment: float) -> list[list[Any]]:
        return [sample for sample in self.samples if end_of(sample) >= moment]


def end_of(sample: list[Any]) -> float:
    return float(sample[0] + sample[1] / 1000)


class Pipes:
    """Over stdin and stdout, with `compare`."""

    def emit(self, event: str, **data: Any) -> None:
        EVENTS.write(json.dumps({"event": event, **data}) + "\n")
        EVENTS.flush()

    def word(self, patience: float | None = None) -> str:
        said, _, _ = select([sys.stdin], [], [], patience)  # meanwhile the users go on
        return sys.stdin.readline().strip() if said else ""

    def is_enough(self, answers: int, wanted: int) -> bool:
        return answers >= wanted


def run_round(order: Order, talk: Talk, told: str = "") -> LoadResult | None:
    """Run one round: warm up, measure, and wait until every request is answered.

    None if it was not to go on after its warm-up. told: GO, if nobody need be asked.
    """
    offset = clock_offset()
    if order.raw:
        # Raw users would keep a core busy while they wait for the window: they warm up afterwards.
        talk.emit("ready")
        go, _, at = talk.word().partition(" ")
        if go != GO:
            return None
        result = raw.run(order, talk, float(at or 0))
        talk.emit("settled")
        return replace(result, clock_jump=clock_offset() - offset)
    if not told:
        CheckingUser.left = order.max_requests or math.inf
    user_classes, users = user_classes_for(order)
    user_class = user_classes[0]
    recording = Recording(order.any_body, order.server if order.locustfile else None)
    bystanders = [Bystander] if order.bystander else []
    environment = Environment(
        user_classes=[*user_classes, *bystanders],
        host=order.host,
        stop_timeout=drain_timeout(order),
    )
    environment.events.request.add_listener(recording.add)
    runner = environment.create_local_runner()
    if order.locustfile:
        noted = readers_locustfile.on_error(recording.samples.append)
        environment.events.user_error.add_listener(noted)
        readers_locustfile.listen(environment, order.locustfile)
    with heartbeat() as gaps:
        # Warm up, to where all users wait, or to the steady state: each has been answered once.
        everybody = users + len(bystanders)
        runner.start(everybody, spawn_rate=100_000)
        if order.waiting:
            until(lambda: user_class.started == order.users, WARM_UP_TIMEOUT)
        else:
            until(lambda: len(recording.answered) == everybody, WARM_UP_TIMEOUT)
        if not told:
            talk.emit("ready")
            told = talk.word(PATIENCE)
        go, _, at = told.partition(" ")
        if go != GO:
            if order.waiting:
                user_class.gate.set()
            runner.quit()
            UNDER_WAY.clear()
            # Nobody loads a server for as long as `compare` stands still (Ctrl-Z).
            told = told or talk.word()
            return run_round(order, talk, told) if told.startswith(GO) else None
        gevent.sleep(max(0, float(at or 0) - time.time()))
        if order.waiting:
            wait_together(user_class, order)
        # The window.
        opened, cpu = time.time(), time.process_time()
        talk.emit("open", at=opened)
        gevent.sleep(order.window)
        if not order.waiting:
            # A slow view needs longer to be worth a number; the last answer closes the window.
            until(
                lambda: talk.is_enough(len(recording.answers_since(opened)), order.min_answers),
                MAX_OVERTIME,
            )
        closed, cpu = time.time(), time.process_time() - cpu
        talk.emit("close", at=closed)
        if order.waiting and bystanders:
            # To end thousands of users takes a moment, in which no answer is read: the bystander's
            # calls that count must have theirs before.
            until(lambda: any(start > closed for start, *_ in recording.bystander), ANSWER_TIMEOUT)
        # Drain.
        settling = gevent.spawn(settle, talk, closed, user_class if order.rate else Bystander)
        runner.quit()
        settling.join()
    recording.add_unanswered(time.time())
    delays = sorted(recording.send_delays)
    return LoadResult(
        opened=opened,
        closed=closed,
        cpu=cpu / (closed - opened),
        samples=recording.samples,
        bystander=recording.bystander,
        send_delay=delays[int(0.99 * len(delays))] if delays else 0,
        stall=longest_stall(gaps, recording, opened, closed, order.waiting is not None),
        clock_jump=clock_offset() - offset,
    )


def user_classes_for(order: Order) -> tuple[list[Any], int]:
    """Prepare the classes of the round's users, and say how many of them there are.

    There is one class, but for a locustfile of the reader's.
    """
    Bystander.server, Bystander.path = order.server, order.bystander or ""
    if order.locustfile:
        own = readers_locustfile.users_of(order.locustfile)
        fixed = [cls.fixed_count for cls in own]
        return own, min(order.users, sum(fixed)) if all(fixed) else order.users
    user_class = user_class_for(order)
    user_class.server = order.server
    user_class.notes_first_byte = order.first_byte
    return [user_class], order.users if order.rate is None else 1


def user_class_for(order: Order) -> Any:
    """Prepare the class of users who ask for what the order says."""
    user_class: Any
    if order.asks:
        user_class = mix_user([Ask.from_row(row) for row in order.asks], order.rate)
    elif order.rate is not None:
        variant = USERS[order.comparison, order.variant].variant
        user_class = open_loop(order.comparison, variant, order.rate)
    else:
        user_class = USERS[order.comparison, order.variant]
    if order.rate is None:
        user_class.started = 0
        user_class.spread = min(SPREAD if order.spread is None else order.spread, MAX_SPREAD)
        if order.waiting:
            until_window = order.waiting - order.window - MARGIN
            user_class.spread = max(0, COMING * until_window)
            user_class.seconds, user_class.gate = order.waiting, gevent.event.Event()
            user_class.wait_time = constant(drain_timeout(order))  # after its one request
            host, here = urlsplit(order.host).hostname or "", order.users_here or order.users
            user_class.sources = source_addresses(host, here)
    return user_class


def drain_timeout(order: Order) -> float:
    """Return how many seconds, from the end of the window on, an answer may take."""
    return DRAIN_TIMEOUT + (order.waiting or 0)


def settle(talk: Talk, closed: float, user_class: type[CheckingUser]) -> None:
    """Say so when the bystander's calls that fell due in the window are answered, or these users'.

    In an open loop these count, too; of a closed one only what was answered in the window does.
    """
    counting = {Bystander, user_class}
    until(
        lambda: not any(due <= closed and type(user) in counting for user, due in UNDER_WAY),
        DRAIN_TIMEOUT,
    )
    talk.emit("settled")


def wait_together(user_class: Any, order: Order) -> None:
    """Let all users send their one request, and return shortly before the first is answered.

    So late, because by then all have been sent and have come in. They come spread over most of that
    time: a server's backlog has room for one or two thousand.
    """
    assert order.waiting
    user_class.gate.set()
    gevent.sleep(order.waiting - order.window - MARGIN)


def longest_stall(
    gaps: list[Gap],
    recording: Recording,
    opened: float,
    closed: float,
    waiting: bool,
) -> float:
    """Return the longest part of a gap, in seconds, in which anything that counts was under way."""
    counted = [s for s in recording.answers_since(opened) if end_of(s) <= closed]
    called = [s for s in recording.bystander if opened <= s[0] <= closed]
    # To send requests that only wait does not count yet.
    first = opened if waiting else min([opened, *(sample[0] for sample in counted)])
    last = max([closed, *map(end_of, called)])
    return max([0, *(min(end, last) - max(start, first) for start, end in gaps)])


@contextmanager
def heartbeat() -> Iterator[list[Gap]]:
    """Beat all through the block; list when this process did nothing.

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
    """Return wall clock minus monotonic clock; the largest of five, read with nothing between."""
    return max(time.time() - time.monotonic() for _ in range(5))


def until(condition: Callable[[], bool], limit: float) -> None:
    """Return when it is true, or after `limit` seconds."""
    deadline = time.monotonic() + limit
    while not condition() and time.monotonic() < deadline:
        gevent.sleep(0.005)


def begin() -> None:
    """Prepare a process that is to load servers."""
    if core := os.environ.get(CORE):
        os.sched_setaffinity(0, [int(core)])
    setup_logging("ERROR")
    gc.freeze()  # or a collection looks through all that was imported: users stand still for 70 ms


def main() -> None:
    begin()
    talk = Pipes()
    with redirect_stdout(sys.stderr):  # what a locustfile of the reader's prints is no event
        for line in iter(sys.stdin.readline, ""):
            if result := run_round(Order.from_line(line), talk):
                talk.emit("round", **asdict(result))
            else:
                talk.emit("left")


if __name__ == "__main__":
    main()
