"""The command's side: services that it checks, starts or shares, and leaves when it ends."""

import contextlib
import fcntl
import os
import queue
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import IO
from urllib.parse import unquote, urlsplit

from project import signals
from project.environment import child_environ
from project.processes import BASE_DIR
from project.reasons import one_line, reason
from project.services.declared import SERVICES
from project.services.service import (
    CONNECT_LIMIT,
    POLL,
    SERVICES_DIR,
    Service,
    ServiceError,
    open_lock,
    try_lock,
)

# The addresses that a parent has checked or started: its children need not ask again.
CHECKED = "SERVICES_CHECKED"

# Seconds
CHECK_LIMIT = 4.5  # a user's address answers within this, name resolution included, or is refused
SHARE_LIMIT = 120  # more than a keeper takes to stop and another to start

LITTLE_ROOM = 64  # MB on disk: four of the files to which PostgreSQL writes ahead


@dataclass(frozen=True)
class Use:
    """A service's locks, open as long as this process uses it: its folder may be deleted."""

    service: Service
    gate: IO[bytes]
    users: IO[bytes]
    keeper: IO[bytes]


_uses: set[Use] = set()  # this process's


@contextlib.contextmanager
def running() -> Iterator[None]:
    """Every service is up inside the block and its address stands in os.environ.

    DATABASE_URL, REDIS_URL, UPSTREAM_URL, CPU_SERVICE_URL: one that is set already is checked and
    used as it is; for the others the services are started, or shared with the commands that use
    them now. Whoever leaves last returns when they have stopped. Raises ServiceError.
    """
    check_form()
    given = {s: os.environ[s.variable] for s in SERVICES if os.environ.get(s.variable)}
    missing = [service for service in SERVICES if service not in given]
    for service, url in given.items():
        _check_given(service, url)
    # libpq's own variables (PGSSLMODE, PGSERVICE, ...) are for a database of the user's.
    libpqs = [] if given.get(SERVICES[0]) else [name for name in os.environ if name[:2] == "PG"]
    changed = (*(service.variable for service in missing), CHECKED, *libpqs)
    before = {name: os.environ.get(name) for name in changed}
    uses: list[Use] = []
    with contextlib.ExitStack() as files:
        try:
            for name in libpqs:
                del os.environ[name]
            try:
                with _for_us_alone():
                    _share(missing, uses, files)
                    urls = given | _connect(uses)
            except OSError as error:
                problem = error.strerror or error
                raise ServiceError(f"cannot use {SERVICES_DIR}: {problem}") from error
            os.environ |= {service.variable: url for service, url in urls.items()}
            os.environ[CHECKED] = " ".join(urls.values())
            yield
        except ServiceError as error:
            raise ServiceError(f"{error}{_behind_it(uses)}") from error
        finally:
            with signals.held():
                for name, value in before.items():
                    if value is None:
                        os.environ.pop(name, None)
                    else:
                        os.environ[name] = value
                _uses.difference_update(uses)
                for use in uses:
                    fcntl.flock(use.users, fcntl.LOCK_UN)
                for use in uses:
                    _wait_until_stopped(use)


def _share(services: Sequence[Service], uses: list[Use], files: contextlib.ExitStack) -> None:
    """Use these services, running or not, until `files` are closed; add them to `uses`."""
    if services:
        _make_services_dir()
    for service in services:
        names = ("gate", "users", "keeper")
        use = Use(service, *(files.enter_context(open_lock(service, name)) for name in names))
        uses.append(use)
        with _locked(use.gate):
            fcntl.flock(use.users, fcntl.LOCK_SH)
    _uses.update(uses)


@contextlib.contextmanager
def _for_us_alone() -> Iterator[None]:
    """What is made inside the block is for its owner, whatever the umask says."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _behind_it(uses: Collection[Use]) -> str:
    """What may be behind an error of the services: their folder is gone, or has little room."""
    if not uses:
        return ""
    if _are_deleted(uses):
        return f" ({SERVICES_DIR} was deleted meanwhile)"
    room = shutil.disk_usage(SERVICES_DIR).free // 10**6
    return f" ({SERVICES_DIR} has {room} MB of disk left)" if room < LITTLE_ROOM else ""


def _are_deleted(uses: Collection[Use]) -> bool:
    return any(os.fstat(use.users.fileno()).st_nlink == 0 for use in uses)


def started_by_others() -> list[str]:
    """The names of those that this process uses and another command has started."""
    return [
        service.name
        for service in SERVICES
        if service not in _keepers and _answering_address(service) == os.environ[service.variable]
    ]


def check() -> None:
    """Raise ServiceError unless every service of this process still takes connections."""
    for service in SERVICES:
        url = os.environ[service.variable]
        parts = urlsplit(url)
        try:
            if "/" in unquote(parts.hostname or "/"):  # the folder of a Unix socket, or its default
                service.check(url)
            else:  # to connect is enough, and disturbs less
                address = (parts.hostname, parts.port or service.port)
                socket.create_connection(address, CONNECT_LIMIT).close()
        except Exception as error:
            raise ServiceError(f"{service.name} went away: {one_line(error)}") from None
    if _are_deleted(_uses):  # PostgreSQL goes on for a while, without its data
        raise ServiceError("the services have lost their data")


def check_form() -> None:
    """Raise ServiceError if an address that the user set is none; settings could not read it."""
    for service in SERVICES:
        if not (url := os.environ.get(service.variable)):
            continue
        shown = f"{service.variable} {_masked(url)}"
        if not url.startswith(tuple(f"{scheme}://" for scheme in service.schemes)):
            wanted = " or ".join(f"{scheme}://" for scheme in service.schemes)
            raise ServiceError(f"{shown}: does not begin with {wanted}")
        try:
            _ = urlsplit(url).port
        except ValueError:  # its text may quote a part of the password
            raise ServiceError(f"{shown}: malformed") from None


def _check_given(service: Service, url: str) -> None:
    """Raise ServiceError unless the address that the user set answers, in CHECK_LIMIT at most."""
    if url in os.environ.get(CHECKED, "").split():
        return
    shown = f"{service.variable} {_masked(url)}"
    outcome: queue.SimpleQueue[str] = queue.SimpleQueue()

    def ask() -> None:
        try:
            service.check(url)
            outcome.put("")
        except Exception as error:
            outcome.put(one_line(error))

    # In a thread, because no timeout of a client covers a name server that does not answer.
    threading.Thread(target=ask, daemon=True).start()
    try:
        problem = outcome.get(timeout=CHECK_LIMIT)
    except queue.Empty:
        problem = f"no answer in {CHECK_LIMIT} s"
    if problem:
        raise ServiceError(f"{shown}: {problem}")


def _masked(url: str) -> str:
    """The address on one line without its password, be it well-formed or not."""
    credentials, at, rest = url.rpartition("@")
    scheme, separator, login = credentials.rpartition("://")
    user, colon, _password = login.partition(":")
    shown = f"{scheme}{separator}{user}{colon and ':***'}{at}{rest}"
    return " ".join(re.sub(r"(password=)[^&]*", r"\1***", shown).split())


def _make_services_dir() -> None:
    """Only one user may own the folder: what root leaves there, nobody else could read."""
    SERVICES_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (owner := SERVICES_DIR.stat().st_uid) != os.geteuid():
        raise ServiceError(
            f"{SERVICES_DIR} belongs to another user (uid {owner}): "
            "delete it, or set SERVICES_DIR to another folder"
        )
    for service in SERVICES:
        service.folder.mkdir(mode=0o700, exist_ok=True)


@contextlib.contextmanager
def _locked(gate: IO[bytes]) -> Iterator[None]:
    """Alone while looking who is there; waits for a keeper that is stopping."""
    fcntl.flock(gate, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(gate, fcntl.LOCK_UN)


def _connect(uses: Sequence[Use]) -> dict[Service, str]:
    """The addresses of services that this process uses, their keepers started where none lives."""
    urls: dict[Service, str] = {}
    started = set()
    deadline = time.monotonic() + SHARE_LIMIT
    while len(urls) < len(uses):
        for use in uses:
            service = use.service
            if service in urls:
                continue
            with _locked(use.gate), open_lock(service, "keeper") as lock:
                nobody_keeps_it = try_lock(lock)
                if nobody_keeps_it and service not in started:
                    _start_keeper(service, lock)
                    started.add(service)
                    continue
            if nobody_keeps_it:  # ours has ended
                _reap_keeper(service)
                said = (service.folder / "keeper.log").read_text(errors="replace")
                raise ServiceError(reason(said) if said else f"{service.name}: its keeper is gone")
            if url := _answering_address(service):
                urls[service] = url
        if time.monotonic() > deadline:
            raise ServiceError(
                f"the services in {SERVICES_DIR} do not answer, and their keeper does not end: "
                "end the other commands of this checkout (in another container, perhaps)"
            )
        time.sleep(POLL)
    return urls


_keepers: dict[Service, subprocess.Popen[bytes]] = {}  # those that this process has started


def _start_keeper(service: Service, lock: IO[bytes]) -> None:
    """Start a keeper, which inherits the lock: it is held without a gap."""
    _reap_keeper(service)
    (service.folder / "address").unlink(missing_ok=True)  # left by a keeper that was killed
    with signals.held(), open(service.folder / "keeper.log", "wb") as log:
        _keepers[service] = subprocess.Popen(
            [sys.executable, "-m", "project.services.keeper", service.folder],
            cwd=BASE_DIR,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the command, not for the keeper
            pass_fds=[lock.fileno()],
            env=child_environ() | {"SERVICES_DIR": str(SERVICES_DIR)},
        )


def _reap_keeper(service: Service) -> None:
    """Collect our keeper, whose lock is free: it has ended, and `ps` need not show it."""
    if keeper := _keepers.pop(service, None):
        keeper.wait()


def _answering_address(service: Service) -> str:
    """The address that the keeper has written, or "" if it has not yet, or the service is down.

    To connect is enough: the keeper has checked more, and a service under load may be full.
    """
    try:
        url = (service.folder / "address").read_text()
        socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), CONNECT_LIMIT).close()
    except OSError:
        return ""
    return url


def _wait_until_stopped(use: Use) -> None:
    """Return when the keeper has ended, or at once if somebody else uses the service."""
    while True:
        with _locked(use.gate):
            if not _is_free(use.users):
                return
            if _is_free(use.keeper):
                _reap_keeper(use.service)
                return
        time.sleep(POLL)


def _is_free(lock: IO[bytes]) -> bool:
    if free := try_lock(lock):
        fcntl.flock(lock, fcntl.LOCK_UN)
    return free
