"""The command's side of the load generators: start them, learn their capacity, order rounds."""

import json
import os
import platform
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from typing import IO, Any

from comparisons.cores import CORES
from comparisons.pairs import COMPARISONS
from loadtests.judging import validity
from loadtests.orders import GO, LEAVE, LoadResult, Order
from loadtests.running import schedule, servers, workers
from loadtests.running.servers import ServerError, said
from loadtests.running.workers import Crew
from project import signals
from project.deployments import UVICORN, Deployment
from project.environment import child_environ
from project.ports import LOOPBACK
from project.processes import BASE_DIR, dying_with_parent
from project.reasons import reason

# Seconds without a word, after which the generator is given up: no part of a round takes so long.
SILENCE_TIMEOUT_S = 180
LOADING_TIMEOUT_S = 30  # of a locustfile of the reader's
CALIBRATION_S = 0.5
CALIBRATION_USERS = 10  # of each load generator
MAX_CAPACITY = 10_000  # requests/s, more than one locust process can do

TRIVIAL = Deployment(
    name="trivial",
    about="uvicorn, an app that does nothing",
    interface="asgi",
    command=UVICORN,
    app="comparisons.floor:plain",
)


class Lines:
    """The lines of a pipe, one by one; waiting and reading share a buffer, so none is missed."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._buffer = b""

    def next(self, timeout: float) -> bytes | None:
        """Return the next line; None if nothing comes in `timeout` seconds. EOFError after all."""
        while b"\n" not in self._buffer:
            if not select.select([self._pipe], [], [], timeout)[0]:
                return None
            if not (data := os.read(self._pipe.fileno(), 2**16)):
                raise EOFError
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


@dataclass(frozen=True)
class Generator:
    """A locust process: one that loads, or a master with its workers.

    capacity: requests/s against a trivial server, at the start. workers: what is known of each, and
    its own capacity. lost: those that are no more; it goes on without them only if it `may_lose`.
    """

    process: subprocess.Popen[bytes]
    lines: Lines
    log: Path
    capacity: float | None = None
    workers: Sequence[dict[str, Any]] = ()
    lost: list[str] = field(default_factory=list)
    may_lose: bool = False

    @property
    def here(self) -> int:
        """How many share the users of a round on this machine."""
        if not self.workers:
            return 1
        return sum(worker["hostname"] == platform.node() for worker in self.workers)

    def as_row(self) -> dict[str, Any]:
        """As the result file has it."""
        workers = {"workers": list(self.workers)} if self.workers else {}
        return {"capacity": self.capacity, **workers}

    def send(self, order: Order) -> None:
        """Ask for one round, which warms up. ServerError if the generator is dead, or lost some."""
        if self.lost and not self.may_lose:
            raise ServerError(f"{lost(self.lost)}; --go-on measures on with the others")
        self._say(order.line())

    def go(self) -> None:
        """Open the round's window, as soon as it has warmed up. ServerError as in `expect`."""
        self.expect("ready")
        self._say(f"{GO}\n".encode())

    def leave(self) -> None:
        """End the round instead. ServerError as in `expect`."""
        self.expect("ready")
        self._say(f"{LEAVE}\n".encode())
        self.expect("left")

    def run(self, order: Order) -> LoadResult:
        """Run a round without a look at anything. ServerError as in `expect`."""
        self.send(order)
        self.go()
        return self.result()

    def _say(self, line: bytes) -> None:
        assert self.process.stdin
        try:
            self.process.stdin.write(line)
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._death() from None

    def result(self) -> LoadResult:
        """Wait for the end of the round. ServerError as in `expect`."""
        result = LoadResult(**self.expect("round"))
        self.lost[:] = result.lost
        capacities = {worker["name"]: worker.get("capacity") for worker in self.workers}
        rows = [{**row, "capacity": capacities.get(row["name"])} for row in result.workers]
        return replace(result, workers=rows)

    def expect(
        self, event: str, meanwhile: Callable[[], None] = lambda: None, every: float = 1
    ) -> dict[str, Any]:
        """Wait for the next event of that name; call `meanwhile` every so many seconds until then.

        Return what it says. ServerError if the generator dies, or is silent for SILENCE_TIMEOUT_S.
        Silence is counted by calls, so that a stop of this process itself (Ctrl-Z) is none.
        """
        silence = 0.0
        while silence < SILENCE_TIMEOUT_S:
            try:
                line = self.lines.next(every)
            except EOFError:
                raise self._death() from None
            if line is None:
                silence += every
                meanwhile()
                continue
            message: dict[str, Any] = json.loads(line)
            if message.pop("event") == event:
                return message
            silence = 0
        raise ServerError(f"the load generator has said nothing for {SILENCE_TIMEOUT_S} s")

    def _death(self) -> ServerError:
        return ServerError(f"the load generator died: {said(self.log)}")


def lost(names: Sequence[str]) -> str:
    """Say whom the master has lost."""
    verb = "was" if len(names) == 1 else "were"
    return f"the load generator {', '.join(names)} {verb} lost"


@contextmanager
def load_generators(
    crew: Crew | None = None, bring: workers.Bring = workers.brought
) -> Iterator[Sequence[Generator]]:
    """Start the load generators, measure what they can do, and end them after the block.

    Two locust processes, so that one warms up the next round while the other awaits the last
    answers of a round; or for a crew a master with its workers, which `bring` starts.
    Sessions of their own keep Ctrl-C from them: that is for `compare` alone.
    """
    if crew:
        with _master(crew, bring) as generator:
            yield [generator]
        return
    started: list[Generator] = []
    with servers.temporary_folder() as folder:
        try:
            for number in range(2):
                with signals.held():
                    started.append(_start(Path(folder, f"{number}.log")))
            (capacity,) = capacities(started[0], LOOPBACK)
            first, second = (replace(generator, capacity=capacity) for generator in started)
            yield first, second
        finally:
            with signals.held():
                for generator in started:
                    generator.process.kill()
                    generator.process.communicate()
                servers.await_ends()  # of the last ones that they have loaded


@contextmanager
def _master(crew: Crew, bring: workers.Bring) -> Iterator[Generator]:
    with servers.temporary_folder() as folder:
        with signals.held():
            words = ["loadtests.master", crew.address, str(crew.size)]
            generator = _start(Path(folder, "master.log"), words)
        try:
            port = generator.expect("listening")["port"]
            with bring(crew, port, Path(folder)) as check:
                come = generator.expect("workers", meanwhile=check, every=0.2)["workers"]
                generator = replace(generator, workers=come, may_lose=crew.may_lose)
                *alone, together = capacities(
                    generator,
                    crew.address,
                    [*([worker] for worker in come), come],
                )
                known = [
                    {**worker, "capacity": round(capacity)}
                    for worker, capacity in zip(come, alone, strict=True)
                ]
                yield replace(generator, workers=known, capacity=together)
        finally:
            with signals.held():
                generator.process.kill()
                generator.process.communicate()
                servers.await_ends()  # of the last ones that they have loaded


def users_of(locustfile: Path) -> list[str]:
    """Load it as the generators will, in a process of its own; return its users' names, weights.

    ServerError, in one line, if it cannot be used.
    """
    load = [sys.executable, "-m", "loadtests.readers_locustfile", str(locustfile.resolve())]
    try:
        done = subprocess.run(
            dying_with_parent(load),
            cwd=BASE_DIR,
            env=child_environ(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LOADING_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ServerError(f"{locustfile}: is not loaded after {LOADING_TIMEOUT_S} s") from None
    if done.returncode == 2:
        raise ServerError(done.stderr.strip().rpartition("\n")[2])
    if done.returncode:
        raise ServerError(f"{locustfile}: cannot be loaded: {reason(done.stderr)}")
    return done.stdout.split("\n")[:-1]


def _start(log: Path, words: Sequence[str] = ("loadtests.generator",)) -> Generator:
    with open(log, "wb") as output:
        process = subprocess.Popen(
            dying_with_parent([sys.executable, "-m", *words]),
            cwd=BASE_DIR,
            env=child_environ(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
    assert process.stdout
    return Generator(process, Lines(process.stdout), log)


def capacities(
    generator: Generator, address: str, parties: Sequence[Sequence[Mapping[str, Any]]] = ([],)
) -> list[float]:
    """Measure the requests/s that the generator can send and check: each party of its workers.

    The server has a process for each worker, as far as there are cores. Over a network it takes
    more users to keep a worker busy: by Little's law as many as it could send in a round trip.
    """
    slug, comparison = next(iter(COMPARISONS.items()))
    processes = min(CORES, max(1, *map(len, parties)))
    found = []
    with servers.serving([TRIVIAL.shaped(processes)], address=address) as (server,):
        for party in parties:
            trips_ms = [worker["round_trip_ms"] for worker in party] or [0]
            users = sum(CALIBRATION_USERS + ceil(MAX_CAPACITY * ms / 1000) for ms in trips_ms)
            order = Order(
                comparison=slug,
                variant=comparison.variants[0].name,
                host=server.url,
                server=server.name,
                users=users,
                window=CALIBRATION_S,
                min_answers=1,
                workers=[worker["name"] for worker in party],
            )
            found.append(throughput_of(generator, order))
    return found


def throughput_of(generator: Generator, order: Order) -> float:
    """Measure the answers/s of one window; of another if that was disturbed."""
    for _ in range(1 + schedule.REPEATS):
        result = generator.run(order)
        if not validity.is_stalled(result.stall, result.clock_jump):
            break
    return rate_in(result)


def rate_in(result: LoadResult) -> float:
    """Return the answers/s of its window."""
    ends = [start + latency / 1000 for start, latency, *_ in result.samples]
    count = sum(result.opened <= end <= result.closed for end in ends)
    return float(count / max(1e-3, result.closed - result.opened))
