"""A load generator of several: locust's worker, which runs its part of each round.

    python -m loadtests.worker MASTER_HOST MASTER_PORT NAME

The master (master.py) sends orders and words as custom messages of locust's, beside locust's own
heartbeats; what happens, and at the end the raw samples, goes back in the same way. A window opens
and closes by the clock of this machine, of which the master learns by pings.
"""

import os
import sys
import time
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import Any

import gevent
from gevent.event import Event
from gevent.queue import Empty, Queue
from locust.env import Environment
from locust.runners import WorkerRunner

from loadtests import generator
from loadtests.orders import CLOSE, Order
from project.machine import this_machine

PATIENCE_S = 30  # of users who are ready, until all other workers' are
COUNT_S = 0.02  # between two counts of what has been answered


class Messages:
    """How a round talks with the master."""

    def __init__(self, runner: WorkerRunner, number: int) -> None:
        self._runner, self._number = runner, number
        self._words: Queue[str] = Queue()
        self._closes = Event()
        self._counted = 0.0

    def hear(self, word: str) -> None:
        if word == CLOSE:
            self._closes.set()
        else:
            self._words.put(word)

    def emit(self, event: str, **data: Any) -> None:
        said = {"event": event, "round": self._number, **data}
        self._runner.send_message("said", said)

    def word(self, patience: float | None = None) -> str:
        try:
            return str(self._words.get(timeout=PATIENCE_S if patience else None))
        except Empty:
            return ""

    def is_enough(self, answers: int, wanted: int) -> bool:
        """Say how many there are; the master adds them up, and closes all windows at once."""
        now = time.monotonic()
        if now - self._counted >= COUNT_S:
            self._counted = now
            self.emit("count", answers=answers)
        gevent.sleep(0)  # so that the word can come
        return bool(self._closes.is_set())


def main() -> None:
    host, port, name = sys.argv[1:4]
    generator.begin()
    environment = Environment(user_classes=[])
    rounds: Queue[tuple[int, Order]] = Queue()
    talks: dict[int, Messages] = {}  # of the round that runs, or is to run

    def answer_ping(msg: Any, **_: Any) -> None:
        runner.send_message("pong", {**msg.data, "there": time.time()})

    def take_order(msg: Any, **_: Any) -> None:
        number = msg.data["round"]
        talks[number] = Messages(runner, number)
        rounds.put((number, Order(**msg.data["order"])))

    def take_word(msg: Any, **_: Any) -> None:
        if talk := talks.get(msg.data["round"]):
            talk.hear(msg.data["word"])

    def run_rounds() -> None:
        with redirect_stdout(sys.stderr):
            for number, order in rounds:
                talk = talks[number]
                if result := generator.run_round(order, talk):
                    talk.emit("round", **asdict(result))
                else:
                    talk.emit("left")
                del talks[number]

    runner = environment.create_worker_runner(host, int(port))
    for message, listener in {"ping": answer_ping, "order": take_order, "word": take_word}.items():
        runner.register_message(message, listener)
    running = gevent.spawn(run_rounds)
    running.link_exception(lambda _: os._exit(1))  # its traceback has been printed
    runner.send_message("hello", {"name": name, **this_machine()})
    runner.greenlet.join()  # until the master ends it


if __name__ == "__main__":
    main()
