"""What a service is, and the locks by which commands and keepers meet (see keeper.py)."""

import fcntl
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from project.errors import FatalError
from project.processes import BASE_DIR

SERVICES_DIR = Path(os.environ.get("SERVICES_DIR") or BASE_DIR / ".services").resolve()

# Seconds
CONNECT_TIMEOUT_S = 3  # one attempt to connect
STOP_TIMEOUT_S = 20  # from one signal to a harsher one
POLL_S = 0.02  # while somebody waits: a service starts in a second or less


class ServiceError(FatalError):
    """A service that cannot be used."""


@dataclass(frozen=True)
class Service:
    """What differs between the services. `folder` is the service's own, below SERVICES_DIR."""

    name: str
    variable: str  # the environment variable that holds its address
    schemes: tuple[str, ...]
    port: int  # where an address names none
    # Of folder and port: the command line and the address; prepares the data.
    prepare: Callable[[Path, int], tuple[list[str], str]]
    ping: Callable[[str], None]  # raises whatever is wrong with the address
    stop_signals: tuple[signal.Signals, ...]  # gentle first: it is also for a killed keeper

    @property
    def folder(self) -> Path:
        return SERVICES_DIR / self.name


def open_lock(service: Service, name: str) -> IO[bytes]:
    return open(service.folder / f"{name}.lock", "ab")


def try_lock(lock: IO[bytes]) -> bool:
    """Lock it against all others, if that needs no waiting. Closing the file unlocks."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
