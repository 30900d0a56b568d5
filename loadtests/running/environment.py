"""Where and with what a result was measured: the result file's `environment`."""

import os
import platform
import subprocess
from contextlib import suppress
from importlib.metadata import version
from typing import Any

from project.machine import cpu_model
from project.processes import BASE_DIR

PACKAGES = (
    "django",
    "asgiref",
    "psycopg",
    "psycopg-pool",
    "locust",
    "uvicorn",
    "gunicorn",
    "uvloop",
    "httptools",
    "httpx2",
)


def environment(postgres: str) -> dict[str, Any]:
    """Describe this machine and what is installed. postgres: the version of ours, if it runs."""
    return {
        "python": platform.python_version(),
        **({"postgres": postgres} if postgres else {}),
        **{name.replace("-", "_"): version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "cpu_model": cpu_model(),
        "cpu_count": os.cpu_count(),
        "load_average": list(os.getloadavg()),
        "commit": commit(),
    }


def commit() -> str | None:
    """The checkout's commit, with a + where it has been changed; None where it is no repository.

    A repository that the checkout merely lies in, or that GIT_DIR names, is another.
    """
    command = ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    with suppress(OSError, subprocess.CalledProcessError):
        without = {name: text for name, text in os.environ.items() if name[:4] != "GIT_"}
        environ = without | {"GIT_CEILING_DIRECTORIES": str(BASE_DIR.parent)}
        said = subprocess.check_output(command, cwd=BASE_DIR, env=environ, text=True, stderr=-3)
        return said.strip()
    return None
