"""The workers of a locust master: who they are, and how they are started, here and elsewhere."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from loadtests import away
from loadtests.away import Place
from loadtests.running.servers import ServerError, said
from project import signals
from project.environment import child_environ
from project.ports import LOOPBACK
from project.processes import BASE_DIR, dying_with_parent

COMING_TIMEOUT_S = 60  # of all workers


@dataclass(frozen=True)
class Crew:
    """Several load generators: so many here, and one at each of these places.

    address: of the machine with the servers, where the master listens too. may_lose: whether the
    run goes on with those that are left.
    """

    here: int
    places: tuple[Place, ...] = ()
    address: str = LOOPBACK
    may_lose: bool = False

    @property
    def size(self) -> int:
        return self.here + len(self.places)

    def names(self) -> list[str]:
        """Name the workers: `here-1`, `here-2`, `load1`; the second one of that place `load1-2`."""
        names = [f"here-{number}" for number in range(1, self.here + 1)]
        of_places = [place.name for place in self.places]
        for number, name in enumerate(of_places):
            before = of_places[:number].count(name)
            names.append(f"{name}-{before + 1}" if before else name)
        return names


# Starts a crew's workers, for the master at this port, and ends them after the block, with their
# logs in this folder. What it yields is called while one waits for them: ServerError if one of them
# will not come.
Bring = Callable[[Crew, int, Path], AbstractContextManager[Callable[[], None]]]


@contextmanager
def brought(crew: Crew, port: int, folder: Path) -> Iterator[Callable[[], None]]:
    """Start them from here: see Bring."""
    names = crew.names()
    whys: dict[str, Callable[[], str]] = {}
    with ExitStack() as stack:
        for name in names[: crew.here]:
            log = folder / f"{name}.log"
            process = stack.enter_context(_here(_argv(crew, port, name), log))
            whys[name] = partial(_why_dead, process, log)
        for name, place in zip(names[crew.here :], crew.places, strict=True):
            module, *argv = _argv(crew, port, name)
            there = away.running(place, folder / f"{name}.log", module, argv)
            whys[name] = stack.enter_context(there).why_gone
        deadline = time.monotonic() + COMING_TIMEOUT_S

        def check() -> None:
            for name, why in whys.items():
                if reason := why():
                    raise ServerError(f"the load generator {name} does not come: {reason}")
            if time.monotonic() > deadline:
                where = f"{crew.address}:{port}"
                raise ServerError(
                    f"not all load generators have come to {where} in {COMING_TIMEOUT_S} s "
                    "(can it be reached from there? --address)"
                )

        yield check


def _argv(crew: Crew, port: int, name: str) -> list[str]:
    return ["loadtests.worker", crew.address, str(port), name]


@contextmanager
def _here(argv: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with signals.held(), open(log, "wb") as output:
        process = subprocess.Popen(
            dying_with_parent([sys.executable, "-m", *argv]),
            cwd=BASE_DIR,
            env=child_environ(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for the command
        )
    try:
        yield process
    finally:
        with signals.held():
            process.kill()
            process.wait()


def _why_dead(process: subprocess.Popen[bytes], log: Path) -> str:
    return "" if process.poll() is None else said(log)
