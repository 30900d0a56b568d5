"""The load generator of several workers: locust's master, which `compare` orders rounds from.

    python -m loadtests.master ADDRESS WORKERS

To `compare` it is what `loadtests.generator` is (orders.py), but that it says "listening" first,
with its port, and "workers" when all of them have come. It divides each round among them, has all
windows open at one time, and puts the parts together (distributed.py). A worker of which locust
hears no heartbeat any more is lost: its round goes on without it, and does not count.
"""

import gc
import os
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import gevent
from gevent.event import Event
from gevent.queue import Queue
from gevent.select import select
from locust.env import Environment
from locust.log import setup_logging
from locust.runners import STATE_MISSING

from loadtests.distributed import Clock, merged, shares
from loadtests.generator import MAX_OVERTIME, Pipes
from loadtests.orders import CLOSE, GO, LEAVE, LoadResult, Order

PINGS, PINGING_S = 5, 0.3  # before each round; as many as come in that time
LEAD_S = 0.05  # from the word to the opening of the windows, besides the longest round trip
RAW_LEAD_S = 0.5  # likewise of raw users, who warm up in between
LOOK_S = 0.2  # between two looks at who is lost

WorkerId = str  # locust's


class LostError(Exception):
    """There is no worker any more."""


class Master:
    """Locust's master, and what it has heard."""

    def __init__(self, address: str) -> None:
        self._runner = Environment(user_classes=[]).create_master_runner(address, 0)
        self.port: int = self._runner.server.port
        self.workers: dict[WorkerId, dict[str, Any]] = {}  # what each has said of itself
        self._lost: set[WorkerId] = set()
        self._round = 0
        self._said: dict[tuple[WorkerId, str], dict[str, Any]] = {}  # in this round, last of each
        self._pings: dict[WorkerId, list[tuple[float, float, float]]] = {}
        self._news = Event()
        self._runner.register_message("hello", self._hear_hello)
        self._runner.register_message("pong", self._hear_pong)
        self._runner.register_message("said", self._hear)

    def _hear_hello(self, msg: Any, **_: Any) -> None:
        self.workers[msg.node_id] = msg.data
        self._news.set()

    def _hear_pong(self, msg: Any, **_: Any) -> None:
        ping = (msg.data["sent"], msg.data["there"], time.time())
        self._pings.setdefault(msg.node_id, []).append(ping)
        self._news.set()

    def _hear(self, msg: Any, **_: Any) -> None:
        if msg.data.pop("round") == self._round:  # of an earlier one: by a worker that stood still
            self._said[msg.node_id, msg.data.pop("event")] = msg.data
            self._news.set()

    def wait(self, condition: Callable[[], bool], limit_s: float = float("inf")) -> None:
        """Return when it is true, or after so many seconds."""
        deadline = time.monotonic() + limit_s
        while not condition() and (left := deadline - time.monotonic()) > 0:
            self._news.clear()
            self._news.wait(min(LOOK_S, left))
            self._look_who_is_lost()

    def _look_who_is_lost(self) -> None:
        clients = self._runner.clients
        for worker in self.workers.keys() - self._lost:
            if worker not in clients or clients[worker].state == STATE_MISSING:
                self._lost.add(worker)
                self._send("quit", None, [worker])  # should it come back

    def _send(self, message: str, data: Any, workers: Iterable[WorkerId]) -> None:
        for worker in workers:
            self._runner.send_message(message, data, worker)

    def _all(self, event: str, workers: Iterable[WorkerId]) -> dict[WorkerId, dict[str, Any]]:
        """Wait until each has said this or is lost. Return what they said; LostError if nobody."""
        self.wait(lambda: all((one, event) in self._said or one in self._lost for one in workers))
        said = {one: self._said[one, event] for one in workers if (one, event) in self._said}
        if not said:
            raise LostError
        return said

    def _living(self) -> list[WorkerId]:
        names = {worker: said["name"] for worker, said in self.workers.items()}
        return sorted(names.keys() - self._lost, key=names.__getitem__)

    def clocks(self) -> dict[WorkerId, Clock]:
        """Learn the clock of each worker that lives."""
        self._pings.clear()
        deadline = time.monotonic() + PINGING_S
        for number in range(PINGS):
            self._send("ping", {"sent": time.time()}, self._living())
            self.wait(partial(self._have_answered, number + 1))
            if time.monotonic() > deadline:
                break
        return {worker: Clock.of(self._pings[worker]) for worker in self._living()}

    def _have_answered(self, pings: int) -> bool:
        return all(len(self._pings.get(worker, ())) >= pings for worker in self._living())

    def run_round(self, order: Order, talk: "Talk") -> LoadResult | None:
        """Have it run by those that it names, or by all; None if it was not to go on.

        LostError if no worker is left.
        """
        clocks = self.clocks()
        chosen = [
            w for w in clocks if self.workers[w]["name"] in order.workers or not order.workers
        ]
        if not chosen:
            raise LostError
        self._round += 1
        self._said.clear()
        machines = [self.workers[worker]["hostname"] for worker in chosen]
        parts = dict(zip(chosen, shares(order, machines), strict=False))  # some have no user
        for worker, part in parts.items():
            self._send("order", {"round": self._round, "order": asdict(part)}, [worker])
        self._all("ready", parts)
        talk.emit("ready")
        if talk.word() != GO:
            self._tell(LEAVE, parts)
            self._all("left", parts)
            return None
        lead = (RAW_LEAD_S if order.raw else LEAD_S) + max(clocks[w].round_trip for w in parts)
        at = time.time() + lead
        for worker in parts:
            self._tell(f"{GO} {at + clocks[worker].offset}", [worker])
        opened = self._all("open", parts)
        talk.emit("open", at=max(said["at"] - clocks[w].offset for w, said in opened.items()))
        if not order.waiting:
            self.wait(lambda: self._are_enough(order, parts), order.window + MAX_OVERTIME)
            self._tell(CLOSE, parts)
        closed = self._all("close", parts)
        talk.emit("close", at=min(said["at"] - clocks[w].offset for w, said in closed.items()))
        self._all("settled", parts)
        talk.emit("settled")
        results = {
            self.workers[worker]["name"]: (LoadResult(**said), clocks[worker])
            for worker, said in self._all("round", parts).items()
        }
        return self._with_lost(merged(results), parts)

    def _tell(self, word: str, workers: Iterable[WorkerId]) -> None:
        self._send("word", {"round": self._round, "word": word}, workers)

    def _are_enough(self, order: Order, parts: Iterable[WorkerId]) -> bool:
        counts = {w: self._said.get((w, "count")) for w in parts if w not in self._lost}
        answers = [said["answers"] for said in counts.values() if said]
        return len(answers) == len(counts) and sum(answers) >= order.min_answers

    def _with_lost(self, result: LoadResult, parts: Iterable[WorkerId]) -> LoadResult:
        """Say who is lost; the round of one who had a part in it does not count."""
        names = sorted(self.workers[worker]["name"] for worker in self._lost)
        gone = [self.workers[worker]["name"] for worker in parts if worker in self._lost]
        broken = [f"the load generator {name} was lost" for name in gone]
        return replace(result, lost=names, broken=[*result.broken, *broken])


class Talk(Pipes):
    """With `compare`; its lines are read by a greenlet, so that heartbeats go on."""

    def __init__(self) -> None:
        self.lines: Queue[str] = Queue()
        gevent.spawn(self._read)

    def _read(self) -> None:
        rest = b""
        while True:
            select([sys.stdin], [], [])
            if not (data := os.read(sys.stdin.fileno(), 2**16)):
                os._exit(0)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self.lines.put(line.decode())

    def word(self, patience: float | None = None) -> str:
        return str(self.lines.get())


def main() -> None:
    address, count = sys.argv[1], int(sys.argv[2])
    setup_logging("ERROR")
    gc.freeze()
    master, talk = Master(address), Talk()
    talk.emit("listening", port=master.port)
    master.wait(lambda: len(master.workers) == count)
    clocks = master.clocks()
    talk.emit(
        "workers",
        workers=[
            {
                **said,
                "offset_ms": round(1000 * clocks[worker].offset, 3),
                "uncertain_ms": round(1000 * clocks[worker].uncertain, 3),
                "round_trip_ms": round(1000 * clocks[worker].round_trip, 3),
            }
            for worker in clocks
            for said in [master.workers[worker]]
        ],
    )
    with redirect_stdout(sys.stderr):
        while True:
            order = Order.from_line(talk.lines.get())
            try:
                result = master.run_round(order, talk)
            except LostError:
                names = ", ".join(said["name"] for said in master.workers.values())
                print(f"every load generator was lost ({names})", file=sys.stderr, flush=True)
                os._exit(1)
            if result:
                talk.emit("round", **asdict(result))
            else:
                talk.emit("left")


if __name__ == "__main__":
    main()
