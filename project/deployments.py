"""The ways to serve the project, as data: server, interface, processes, threads, database mode.

And the environment that each start of one gets.
"""

import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from comparisons.cores import CORES
from project.environment import child_environ
from project.ports import LOOPBACK, place
from project.processes import BASE_DIR

DATABASE_MODES = ("none", "persistent", "pool", "pgbouncer")

# More connections than anybody opens. By default some servers take a thousand, and let who comes
# then wait until another client leaves; and each has a backlog of one or two thousand, which is
# full while its loop is busy for a second or two. The kernel takes net.core.somaxconn at most.
CONNECTIONS = 60_000
GUNICORN = (
    "{python} -m gunicorn --bind {place} --workers {workers} --no-control-socket "
    f"--log-level error --graceful-timeout 5 --timeout 120 --backlog {CONNECTIONS} "
)
UVICORN = (
    "{python} -m uvicorn --host {address} --port {port} --workers {workers} --loop uvloop "
    "--http httptools --lifespan on --no-access-log --log-level error --timeout-keep-alive 60 "
    f"--timeout-graceful-shutdown 5 --timeout-worker-healthcheck 60 --backlog {CONNECTIONS}"
)
GRANIAN = (
    "{python} -m granian --host {address} --port {port} --workers {workers} --http 1 --no-ws "
    "--loop uvloop --runtime-mode st --log-level error --no-access-log --workers-kill-timeout 5 "
)
GRANIAN_ASGI = GRANIAN + f"--interface asgi --backlog {CONNECTIONS} --backpressure {CONNECTIONS}"
# A thread that has nothing to do ends, and leaves its connection to the garbage collector: not
# after 30 seconds, but as late as it can be.
GRANIAN_WSGI = (
    GRANIAN + "--interface wsgi --blocking-threads {threads} --blocking-threads-idle-timeout 600"
)
WSGI = "project.wsgi:application"
DIRECT = "project.asgi_direct:application"  # see project/direct.py
BOUNCER = "{python} -m project.services.pgbouncer "  # starts one, then becomes the command after it


def filled(
    words: Sequence[str], python: str, port: int, address: str, workers: int, threads: int
) -> list[str]:
    """Fill in what stands in braces in the words of a command."""
    values = {
        **{"python": python, "address": address, "port": port, "place": place(address, port)},
        **{"workers": workers, "threads": threads},
    }
    return [word.format(**values) for word in words]


@dataclass(frozen=True)
class Deployment:
    """One way to serve."""

    name: str
    about: str  # the server, but for its shape
    interface: Literal["wsgi", "asgi"]
    command: str  # words, with what `filled` fills in
    app: str = "project.asgi:application"  # the last word of the command; "" where it takes none
    workers: int = 1  # processes
    # Of each process, to serve requests; 1 on an event loop, 0 is no limit: one a connection.
    threads: int = 1
    # How Django connects: a connection per request (none), per thread (persistent), a pool a
    # process (pool), or a connection per request to a PgBouncer of the server (pgbouncer).
    database: str = "pool"
    can_fork: bool = True  # whether the server takes another number of processes
    can_thread: bool = False  # likewise of threads
    why_not_persistent: str = ""  # why it can keep no connection a thread; "" where it can
    why_not_async: str = ""  # why it serves no async view; "" where it does

    @property
    def folder(self) -> Path:
        """Where it runs."""
        return BASE_DIR

    @property
    def own_paths(self) -> str:
        """What stands before `bystander/` and `pools/`, which the server answers for us."""
        return "/"

    def argv(self, port: int, address: str = LOOPBACK) -> list[str]:
        command = (BOUNCER if self.database == "pgbouncer" else "") + self.command
        words = command.split()
        words = filled(words, sys.executable, port, address, self.workers, self.threads)
        return [*words, self.app] if self.app else words

    def environ(self, nonce: str, own: Mapping[str, str]) -> dict[str, str]:
        """Return all that a start of the server finds in its environment; settings.py reads it.

        nonce: names this start. own: the services' addresses as it sees them, and what its variant
        declares. Of what is set for other programs, see `child_environ`.
        """
        return {
            **child_environ(),
            "SECRET_KEY": secrets.token_urlsafe(50),  # one for all its processes
            **own,
            "DEPLOYMENT": self.name,
            "DEPLOYMENT_NONCE": nonce,
            "DATABASE_MODE": self.database,
            "PYTHONUNBUFFERED": "1",
        }

    def shaped(
        self,
        workers: int | None = None,
        threads: int | None = None,
        database: str | None = None,
        app: str | None = None,
    ) -> "Deployment":
        """Return the same server with another shape, or with another application.

        ValueError where it cannot have it.
        """
        if workers not in (None, self.workers) and not self.can_fork:
            raise ValueError(f"{self.name} runs {self.workers} process only")
        if threads not in (None, self.threads) and not self.can_thread:
            raise ValueError(f"{self.name} has no threads to set")
        if database == "persistent" and self.why_not_persistent:
            why = self.why_not_persistent
            raise ValueError(f"{self.name} has no persistent connections: {why}")
        if app and not self.app:
            raise ValueError(f"{self.name} serves Django only")
        return replace(
            self,
            workers=workers or self.workers,
            threads=threads or self.threads,
            database=database or self.database,
            app=app or self.app,
        )


_ALL = (
    Deployment(
        name="wsgi-sync",
        about="gunicorn, sync workers",
        interface="wsgi",
        command=GUNICORN + "--worker-class sync",
        app=WSGI,
        workers=2 * CORES + 1,  # what gunicorn's documentation suggests
        database="persistent",
    ),
    Deployment(
        name="wsgi-threads",
        about="gunicorn, gthread worker",
        interface="wsgi",
        command=GUNICORN + "--worker-class gthread --threads {threads} --keep-alive 60",
        app=WSGI,
        threads=20,
        database="persistent",
        can_thread=True,
    ),
    Deployment(
        name="wsgi-gevent",
        about="gunicorn, gevent worker",
        interface="wsgi",
        command=GUNICORN
        + f"--worker-class gevent --worker-connections {CONNECTIONS} --keep-alive 60",
        app=WSGI,
        threads=0,  # a greenlet a connection, all in one thread
        why_not_persistent="a greenlet ends with its client, and leaves its connection behind",
        why_not_async="all its requests share a thread, and a thread runs one event loop at a time",
    ),
    Deployment(
        name="wsgi-granian",
        about="granian, WSGI with threads",
        interface="wsgi",
        command=GRANIAN_WSGI,
        app=WSGI,
        threads=20,
        database="persistent",
        can_thread=True,
    ),
    Deployment(
        name="asgi-uvicorn",
        about="uvicorn",
        interface="asgi",
        command=UVICORN,
    ),
    Deployment(
        name="asgi-uvicorn-direct",
        about="uvicorn, our handler",
        interface="asgi",
        command=UVICORN,
        app=DIRECT,
    ),
    Deployment(
        name="asgi-granian",
        about="granian, ASGI",
        interface="asgi",
        command=GRANIAN_ASGI,
    ),
    Deployment(
        name="asgi-granian-direct",
        about="granian, ASGI, our handler",
        interface="asgi",
        command=GRANIAN_ASGI,
        app=DIRECT,
    ),
    Deployment(
        name="asgi-gunicorn",
        about="gunicorn, its own asgi worker",
        interface="asgi",
        command=GUNICORN + "--worker-class asgi --asgi-loop uvloop --http-parser python "
        f"--asgi-lifespan on --worker-connections {CONNECTIONS} --keep-alive 60",
    ),
    Deployment(
        name="asgi-workers",
        about="uvicorn with workers",
        interface="asgi",
        command=UVICORN,
        workers=CORES,
    ),
    Deployment(
        name="runserver",
        about="Django's development server",
        interface="wsgi",
        command="{python} manage.py runserver --noreload {place}",
        app="",
        threads=0,  # one a connection
        database="none",
        can_fork=False,
    ),
)
DEPLOYMENTS = {deployment.name: deployment for deployment in _ALL}
