"""The keeper of one service: a process that starts it, and stops it when nobody uses it any more.

Keeper and commands meet in the service's folder, through locks that the kernel drops for a killed
process:

    users.lock   held, shared, by every command that uses the service
    keeper.lock  held by the keeper all its life, from the command that starts it: never two keepers
    gate.lock    held for a moment while one looks who is there; by a keeper that stops for want of
                 users, to its end, so that a newcomer waits and then starts afresh

Nothing here knows Django. `SERVICES_DIR` moves the folders away from the checkout.
"""

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import IO

import psutil

from project.ports import free_port
from project.processes import BASE_DIR, adopt_orphans, default_signals, die_with_parent

SERVICES_DIR = Path(os.environ.get("SERVICES_DIR") or BASE_DIR / ".services").resolve()

# Seconds
CONNECT_LIMIT = 3  # one attempt to connect
START_LIMIT = 60  # a service that has not answered by then (crash recovery takes time) has failed
STOP_LIMIT = 20  # from one signal to a harsher one
POLL = 0.02
KEEPER_POLL = 0.05


class ServiceError(Exception):
    """A service that cannot be used; its text is one line for the terminal."""


@dataclass(frozen=True)
class Service:
    """What differs between the services. `folder` is the service's own, below SERVICES_DIR."""

    name: str
    variable: str  # the environment variable that holds its address
    schemes: tuple[str, ...]
    port: int  # where an address names none
    # Of folder and port: the command line and the address; prepares the data.
    prepare: Callable[[Path, int], tuple[list[str], str]]
    check: Callable[[str], None]  # raises whatever is wrong with the address
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


def keep(service: Service) -> None:
    """Start the service, write its address down, and stop it when nobody uses it any more.

    For a process that does nothing else. Raises ServiceError if the service fails.
    """
    default_signals()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: None)  # SIG_IGN would be inherited by the service
    adopt_orphans()
    with open_lock(service, "gate") as gate, open_lock(service, "users") as users:

        def unwanted() -> bool:
            """Whether to stop. Without users the gate stays locked: nobody may come any more."""
            if stop.is_set():
                return True
            if not try_lock(gate):
                return False
            if not try_lock(users):
                fcntl.flock(gate, fcntl.LOCK_UN)
                return False
            return True

        _keep(service, unwanted)


def _keep(service: Service, unwanted: Callable[[], bool]) -> None:
    """Start the service and stop it when it is unwanted. Raises ServiceError if it fails."""
    address = service.folder / "address"
    log = service.folder / "server.log"
    for attempt in range(3):  # another process may take the port before the service does
        time.sleep(0.3 * attempt)  # backends of a killed Postgres may need a moment to end
        port = free_port()
        command, url = service.prepare(service.folder, port)
        server = _popen(service, command, log)
        try:
            if _await_answer(service, url, server, unwanted):
                draft = address.with_suffix(".new")
                draft.touch(mode=0o600)
                draft.write_text(url)
                draft.replace(address)
                while not unwanted():
                    if server.poll() is not None:
                        raise ServiceError(
                            f"{service.name} has ended, status {server.returncode}: "
                            f"{logged_reason(log)}"
                        )
                    time.sleep(KEEPER_POLL)
            if unwanted():
                return
        finally:
            address.unlink(missing_ok=True)
            _stop(service, server)
    raise ServiceError(f"{service.name} does not start: {logged_reason(log)}")


def _popen(service: Service, command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process that the kernel stops if the keeper is killed (Linux)."""
    with open(log, "wb") as output:
        return subprocess.Popen(
            command,
            cwd=BASE_DIR,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Safe: the keeper has no other thread.
            preexec_fn=partial(die_with_parent, os.getpid(), service.stop_signals[0]),
        )


def _await_answer(
    service: Service,
    url: str,
    server: subprocess.Popen[bytes],
    unwanted: Callable[[], bool],
) -> bool:
    """True when the service answers; False when it has ended or is no longer wanted."""
    deadline = time.monotonic() + START_LIMIT
    while server.poll() is None and not unwanted():
        try:
            service.check(url)
            return True
        except ImportError:  # no waiting helps
            raise
        except Exception as error:
            problem = one_line(error)
        if time.monotonic() > deadline:
            raise ServiceError(f"{service.name} does not answer in {START_LIMIT} s: {problem}")
        time.sleep(POLL)
    return False


def _stop(service: Service, server: subprocess.Popen[bytes]) -> None:
    """Stop the server with ever harsher signals, then kill whatever it has left behind."""
    for number in (*service.stop_signals, signal.SIGKILL):
        server.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(STOP_LIMIT)
            break
    orphans = psutil.Process().children(recursive=True)
    for orphan in orphans:
        with contextlib.suppress(psutil.NoSuchProcess):
            orphan.kill()
    psutil.wait_procs(orphans, STOP_LIMIT)


# What a line says, most telling first: what the machine lacks; an error; or what follows from one.
_LACK = "No space left|Disk quota exceeded|File too large|Read-only file system|Too many open files"
_LACK += "|Cannot allocate memory|Resource temporarily unavailable|can't start new thread"
_ERROR = "error|exception|fatal|panic|terminated by signal"
_CONSEQUENCE = "in recovery mode|is starting up|is shutting down|Reason: Worker failed to boot"
# PostgreSQL's, after a line of error; and what it writes before each.
_ADDITION = r"\b(DETAIL|HINT|CONTEXT|STATEMENT|QUERY|LOCATION|LINE \d+): "
_PREFIX = r"^.*\d\d:\d\d:\d\d\.\d+ \w+ \[\d+\] "


def reason(output: str) -> str:
    """Why a program failed: the line of its output, a log or a traceback, that says it best."""
    all_lines = [line for line in output.splitlines() if line.strip()]
    # What is indented (frames, source, carets) belongs to what stands above or below it.
    lines = [line for line in all_lines if not line[0].isspace()] or all_lines
    lines = [line for line in lines if not re.search(_ADDITION, line)] or lines
    exceptions = [
        after
        for line, after in pairwise(lines)
        if line.endswith("Traceback (most recent call last):")
    ]
    lacks = [line for line in lines if re.search(_LACK, line)]
    errors = [
        line
        for line in lines
        if re.search(_ERROR, line, re.IGNORECASE) and not re.search(_CONSEQUENCE, line)
    ]
    line = (lacks or exceptions or errors or lines or ["it said nothing"])[-1]
    return re.sub(_PREFIX, "", line).strip()


def logged_reason(log: Path) -> str:
    """The reason in a log, if that is still there, and where to read more."""
    output = log.read_text(errors="replace") if log.exists() else ""
    return f"{reason(output)} (see {log})"


def one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or repr(error)
