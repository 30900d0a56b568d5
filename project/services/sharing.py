"""The command's side: services that it checks, starts or shares, and leaves when it ends."""

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import IO
from urllib.parse import unquote, urlsplit

from project import signals
from project.environment import child_environ
from project.errors import FatalError
from project.processes import BASE_DIR
from project.reasons import one_line, reason
from project.services.addresses import CHECKED, ensure_answers, validate_addresses
from project.services.declared import SERVICES
from project.services.service import (
    CONNECT_TIMEOUT_S,
    POLL_S,
    SERVICES_DIR,
    Service,
    ServiceError,
    open_lock,
    try_lock,
)

SHARE_TIMEOUT_S = 120  # more than a keeper takes to stop and another to start

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
    """Have every service up inside the block, its address in os.environ:

        with services.running():
            psycopg.connect(os.environ["DATABASE_URL"])

    DATABASE_URL, REDIS_URL, UPSTREAM_URL, CPU_SERVICE_URL: one that is set already is checked and
    used as it is; for the others the services are started, or shared with the commands that use
    them now. The last user waits until the services have stopped. Raises ServiceError.
    """
    validate_addresses()
    given = {s: os.environ[s.variable] for s in SERVICES if os.environ.get(s.variable)}
    missing = [service for service in SERVICES if service not in given]
    for service, url in given.items():
        ensure_answers(service, url)
    # libpq's own variables (PGSSLMODE, PGSERVICE, ...) are for a database of the user's.
    libpqs = [] if given.get(SERVICES[0]) else [name for name in os.environ if name[:2] == "PG"]
    uses: list[Use] = []
    changed = [*(service.variable for service in missing), CHECKED, *libpqs]
    with contextlib.ExitStack() as files, _restored(changed):
        for name in libpqs:
            del os.environ[name]
        try:
            urls = given | _start_or_share(missing, uses, files)
            os.environ |= {service.variable: url for service, url in urls.items()}
            os.environ[CHECKED] = " ".join(urls.values())
            yield
        except FatalError as error:
            raise ServiceError(f"{error}{_behind_it(uses)}") from error
        finally:
            with signals.held():
                _leave(uses)


@contextlib.contextmanager
def _restored(names: Sequence[str]) -> Iterator[None]:
    """Leave these variables of os.environ after the block as they were before it."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        with signals.held():
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _start_or_share(
    services: Sequence[Service], uses: list[Use], files: contextlib.ExitStack
) -> dict[Service, str]:
    """Use these services until `files` are closed, and say where they are; add them to `uses`."""
    try:
        with _for_us_alone():
            _share(services, uses, files)
            return _connect(uses)
    except OSError as error:
        problem = error.strerror or error
        raise ServiceError(f"cannot use {SERVICES_DIR}: {problem}") from error


def _leave(uses: Sequence[Use]) -> None:
    """Use them no more, and wait for those that stop because nobody else does."""
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
    """Make what is made inside the block readable for its owner alone, whatever the umask."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _behind_it(uses: Collection[Use]) -> str:
    """Say what may be behind an error of the services: their folder is gone, or has little room."""
    if not uses:
        return ""
    if _are_deleted(uses):
        return f" ({SERVICES_DIR} was deleted meanwhile)"
    room = shutil.disk_usage(SERVICES_DIR).free // 10**6
    return f" ({SERVICES_DIR} has {room} MB of disk left)" if room < LITTLE_ROOM else ""


def _are_deleted(uses: Collection[Use]) -> bool:
    return any(os.fstat(use.users.fileno()).st_nlink == 0 for use in uses)


def started_by_others() -> list[str]:
    """Name the services that this process uses and another command has started."""
    return [
        service.name
        for service in SERVICES
        if service not in _keepers and _answering_address(service) == os.environ[service.variable]
    ]


def ensure_alive() -> None:
    """Raise ServiceError unless every service of this process still takes connections."""
    for service in SERVICES:
        url = os.environ[service.variable]
        parts = urlsplit(url)
        try:
            if "/" in unquote(parts.hostname or "/"):  # the folder of a Unix socket, or its default
                service.ping(url)
            else:  # to connect is enough, and disturbs less
                address = (parts.hostname, parts.port or service.port)
                socket.create_connection(address, CONNECT_TIMEOUT_S).close()
        except Exception as error:
            raise ServiceError(f"{service.name} went away: {one_line(error)}") from None
    if _are_deleted(_uses):  # PostgreSQL goes on for a while, without its data
        raise ServiceError("the services have lost their data")


def _make_services_dir() -> None:
    """Make the folders. Only one user may own them: what root leaves, nobody else could read."""
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
    """Be alone while looking who is there; wait for a keeper that is stopping."""
    fcntl.flock(gate, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(gate, fcntl.LOCK_UN)


def _connect(uses: Sequence[Use]) -> dict[Service, str]:
    """Return the addresses of services that this process uses; start keepers where none lives."""
    urls: dict[Service, str] = {}
    started = set()
    deadline = time.monotonic() + SHARE_TIMEOUT_S
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
        time.sleep(POLL_S)
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
    """Return the address that the keeper has written; "" if it has not yet, or nobody listens.

    To connect is enough: the keeper has checked more, and a service under load may be full.
    """
    try:
        url = (service.folder / "address").read_text()
        socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), CONNECT_TIMEOUT_S).close()
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
        time.sleep(POLL_S)


def _is_free(lock: IO[bytes]) -> bool:
    if free := try_lock(lock):
        fcntl.flock(lock, fcntl.LOCK_UN)
    return free
