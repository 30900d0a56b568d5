"""Starts the services before pytest-django reads the settings (`-p tests.plugin`)."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg

from project import services
from project.services import schema
from tests.support.commands import let_children_heed_signals

let_children_heed_signals()
# Or every process that a test starts would compile this project anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
_services = ExitStack()
_services.enter_context(services.running())
schema.ensure()
# Two of pytest's processes share the services; by this name Postgres tells them apart.
os.environ["DEPLOYMENT_NONCE"] = os.environ.get("PYTEST_XDIST_WORKER", "pytest")


def pytest_unconfigure() -> None:
    _services.close()


@contextmanager
def accounts_alone() -> Iterator[None]:
    """Nobody else's test moves money between the accounts inside the block."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(1)")
        yield
