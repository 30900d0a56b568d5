"""The ways to serve the project, as data: server, interface, processes, threads, database mode."""

import os
import sys
from dataclasses import dataclass, replace
from typing import Literal

DATABASE_MODES = ("none", "persistent", "pool", "pgbouncer")

PYTHON = sys.executable
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

GUNICORN = (
    *(PYTHON, "-m", "gunicorn", "--bind", "127.0.0.1:{port}", "--workers", "{workers}"),
    *("--no-control-socket", "--log-level", "error", "--graceful-timeout", "5", "--timeout", "120"),
)
UVICORN = (
    *(PYTHON, "-m", "uvicorn", "--port", "{port}", "--workers", "{workers}"),
    *("--loop", "uvloop", "--http", "httptools", "--lifespan", "on"),
    *("--no-access-log", "--log-level", "error", "--timeout-graceful-shutdown", "5"),
    "project.asgi:application",
)


@dataclass(frozen=True)
class Deployment:
    """One way to serve.

    command: the server's argument list, with {port}, {workers} and {threads} to fill in.
    workers: processes. threads: of each, to serve requests; 1 on an event loop, 0 is no limit.
    database: how Django connects: a connection per request (none), per thread (persistent), a pool
        a process (pool), or a connection per request to a PgBouncer of the server (pgbouncer).
    can_fork, can_thread: whether the server takes another number of processes, of threads.
    """

    name: str
    about: str
    interface: Literal["wsgi", "asgi"]
    command: tuple[str, ...]
    workers: int = 1
    threads: int = 1
    database: str = "pool"
    can_fork: bool = True
    can_thread: bool = False

    def argv(self, port: int) -> list[str]:
        bouncer = (
            [PYTHON, "-m", "project.services.pgbouncer"] if self.database == "pgbouncer" else []
        )
        return bouncer + [
            word.format(port=port, workers=self.workers, threads=self.threads)
            for word in self.command
        ]

    def shaped(
        self, workers: int | None = None, threads: int | None = None, database: str | None = None
    ) -> "Deployment":
        """The same server with another shape. ValueError where it can't have it."""
        if workers not in (None, self.workers) and not self.can_fork:
            raise ValueError(f"{self.name} runs {self.workers} process only")
        if threads not in (None, self.threads) and not self.can_thread:
            raise ValueError(f"{self.name} has no threads to set")
        return replace(
            self,
            workers=workers or self.workers,
            threads=threads or self.threads,
            database=database or self.database,
        )


DEPLOYMENTS = {
    deployment.name: deployment
    for deployment in (
        Deployment(
            name="wsgi-sync",
            about="gunicorn, sync workers",
            interface="wsgi",
            command=(*GUNICORN, "--worker-class", "sync", "project.wsgi"),
            workers=2 * CORES + 1,  # what gunicorn's documentation suggests
            database="persistent",
        ),
        Deployment(
            name="wsgi-threads",
            about="gunicorn, gthread worker",
            interface="wsgi",
            command=(
                *(*GUNICORN, "--worker-class", "gthread", "--threads", "{threads}"),
                *("--keep-alive", "60", "project.wsgi"),
            ),
            threads=20,
            database="persistent",
            can_thread=True,
        ),
        Deployment(
            name="asgi-uvicorn",
            about="uvicorn, one process",
            interface="asgi",
            command=UVICORN,
        ),
        Deployment(
            name="asgi-gunicorn",
            about="gunicorn, its own asgi worker",
            interface="asgi",
            command=(
                *(*GUNICORN, "--worker-class", "asgi", "--asgi-loop", "uvloop"),
                *("--http-parser", "python", "--asgi-lifespan", "on", "--keep-alive", "60"),
                "project.asgi:application",
            ),
        ),
        Deployment(
            name="asgi-workers",
            about="uvicorn, one process a core",
            interface="asgi",
            command=UVICORN,
            workers=CORES,
        ),
        Deployment(
            name="runserver",
            about="Django's development server",
            interface="wsgi",
            command=(PYTHON, "manage.py", "runserver", "--noreload", "127.0.0.1:{port}"),
            threads=0,  # one a connection
            database="none",
            can_fork=False,
        ),
    )
}
