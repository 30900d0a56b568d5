"""The keeper of one service: a process that starts it, and stops it when nobody uses it any more.

`python -m project.services.keeper FOLDER`, which the first command that needs the service starts.

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
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from project.ports import free_port
from project.processes import BASE_DIR, adopt_orphans, default_signals, die_with_parent
from project.reasons import logged_reason, one_line
from project.services.declared import SERVICES
from project.services.service import (
    POLL_S,
    STOP_TIMEOUT_S,
    Service,
    ServiceError,
    open_lock,
    try_lock,
)

# Seconds
START_TIMEOUT_S = 60  # crash recovery takes time
KEEPER_POLL_S = 0.05  # slower than POLL_S: it polls all through a measurement
ATTEMPTS = 3  # another process may take the port before the service does


def keep(service: Service) -> None:
    """In the keeper: start the service, publish its address, stop it when nobody uses it.

    Raises ServiceError if the service fails.
    """
    default_signals()
    stop = threading.Event()

    def handle_sigterm(*_: Any) -> None:
        """From whoever ends this keeper by hand: stop the service first."""
        stop.set()

    def handle_sigint(*_: Any) -> None:
        """From Ctrl-C, which is for the commands. To ignore it, the service would inherit."""

    signal.signal(signal.SIGTERM, handle_sigterm)
    signal.signal(signal.SIGINT, handle_sigint)
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
    log = service.folder / "server.log"
    for attempt in range(ATTEMPTS):
        time.sleep(0.3 * attempt)  # backends of a killed Postgres may need a moment to end
        port = free_port()
        command, url = service.prepare(service.folder, port)
        server = _popen(service, command, log)
        try:
            if _await_answer(service, url, server, unwanted):
                _publish(service, url)
                _watch(service, server, unwanted, log)
            if unwanted():
                return
        finally:
            (service.folder / "address").unlink(missing_ok=True)
            _stop(service, server)
    raise ServiceError(f"{service.name} does not start: {logged_reason(log)}")


def _publish(service: Service, url: str) -> None:
    """Write the address down, for its owner alone and at once."""
    draft = service.folder / "address.new"
    draft.touch(mode=0o600)
    draft.write_text(url)
    draft.replace(service.folder / "address")


def _watch(
    service: Service, server: subprocess.Popen[bytes], unwanted: Callable[[], bool], log: Path
) -> None:
    """Return when the service is unwanted. Raises ServiceError if it ends before."""
    while not unwanted():
        if server.poll() is not None:
            how = f"has ended, status {server.returncode}"
            raise ServiceError(f"{service.name} {how}: {logged_reason(log)}")
        time.sleep(KEEPER_POLL_S)


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
    """Return True when the service answers; False when it has ended or is no longer wanted."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while server.poll() is None and not unwanted():
        try:
            service.ping(url)
            return True
        except ImportError:  # no waiting helps
            raise
        except Exception as error:
            problem = one_line(error)
        if time.monotonic() > deadline:
            raise ServiceError(f"{service.name} does not answer in {START_TIMEOUT_S} s: {problem}")
        time.sleep(POLL_S)
    return False


def _stop(service: Service, server: subprocess.Popen[bytes]) -> None:
    """Stop the server with ever harsher signals, then kill whatever it has left behind."""
    for number in (*service.stop_signals, signal.SIGKILL):
        server.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(STOP_TIMEOUT_S)
            break
    orphans = psutil.Process().children(recursive=True)
    for orphan in orphans:
        with contextlib.suppress(psutil.NoSuchProcess):
            orphan.kill()
    psutil.wait_procs(orphans, STOP_TIMEOUT_S)


def main() -> int:
    """Keep the service whose folder is the argument; return the exit status."""
    service = next(service for service in SERVICES if service.folder == Path(sys.argv[1]))
    try:
        keep(service)
    except ServiceError as error:
        print(error)
        return 1
    except OSError as error:
        print(f"{service.name}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
