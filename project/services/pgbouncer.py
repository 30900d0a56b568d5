"""A PgBouncer of one server's own: `python -m project.services.pgbouncer COMMAND ...`.

Starts PgBouncer between DATABASE_URL and the command, in transaction mode, with POOL_SIZE
connections to PostgreSQL, and then becomes the command. PgBouncer is its child, so that what it
uses counts as the server's, and ends with it.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from project.ports import free_port, is_listening
from project.processes import dying_with_parent
from project.reasons import reason
from project.services import postgres
from project.services.nobody import as_nobody, give_to_nobody

START_TIMEOUT_S = 10  # seconds
MAX_CLIENTS = 2_000
# What DATABASE_URL asks of the connection to PostgreSQL is for PgBouncer to do.
TLS = {
    "sslmode": "server_tls_sslmode",
    "sslrootcert": "server_tls_ca_file",
    "sslcert": "server_tls_cert_file",
    "sslkey": "server_tls_key_file",
}


def program() -> str | None:
    return shutil.which("pgbouncer", path=os.pathsep.join([*os.get_exec_path(), "/usr/sbin"]))


def why_missing() -> str:
    return "" if program() else "pgbouncer is not installed (Debian: apt-get install pgbouncer)"


def configuration(url: str, port: int, users: Path, pool_size: int) -> str:
    """Write its ini file's text: on `port`, with the logins in the file `users`."""
    found = postgres.parameters(url)
    place = {"host": found.get("host"), "port": found.get("port"), "dbname": found["dbname"]}
    options = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "pidfile": "",
        "auth_type": "scram-sha-256",
        "auth_file": users,
        "pool_mode": "transaction",
        "default_pool_size": pool_size,
        "max_client_conn": MAX_CLIENTS,
        "ignore_startup_parameters": "extra_float_digits, options",
        "log_connections": 0,
        "log_disconnections": 0,
        "log_pooler_errors": 0,
        "log_stats": 0,
    }
    options |= {TLS[name]: value for name, value in found.items() if name in TLS}
    where = " ".join(f"{name}={value}" for name, value in place.items() if value)
    lines = [f"{name} = {value}" for name, value in options.items()]
    return "\n".join(["[databases]", f"{found['dbname']} = {where}", "[pgbouncer]", *lines, ""])


def through(url: str, port: int) -> str:
    """Return DATABASE_URL as it leads through the PgBouncer on this port: without TLS."""
    parts = urlsplit(url)
    place = f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}"
    moved = {*TLS, "host", "hostaddr", "port"}
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name not in moved]
    return parts._replace(netloc=place, query=urlencode(kept, quote_via=quote)).geturl()


def main() -> None:
    url, port = os.environ["DATABASE_URL"], free_port()
    found = postgres.parameters(url)
    logins = {found.get("user", ""), os.environ.get("DATABASE_ROLE", "")} - {""}
    quoted = found.get("password", "").replace('"', '""')
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as folder:
        users, ini, log = (Path(folder, name) for name in ("users.txt", "pgbouncer.ini", "log"))
        users.write_text("".join(f'"{login}" "{quoted}"\n' for login in sorted(logins)))
        pool_size = int(os.environ.get("POOL_SIZE") or 20)
        ini.write_text(configuration(url, port, users, pool_size))
        prefix = []
        if os.geteuid() == 0:  # whom PgBouncer refuses
            prefix = as_nobody(signal.SIGTERM)
            give_to_nobody(Path(folder), users, ini)
        with open(log, "wb") as output:
            bouncer = subprocess.Popen(
                dying_with_parent([*prefix, str(program()), str(ini)]),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not is_listening(port):
            if bouncer.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"pgbouncer does not start: {reason(log.read_text(errors='replace'))}")
            time.sleep(0.02)
    os.environ["DATABASE_URL"] = through(url, port)
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
