"""The database's tables and rows: made once, by Django's migrations."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from project.environment import child_environ
from project.keeper import ServiceError
from project.processes import BASE_DIR

MIGRATIONS = BASE_DIR / "comparisons" / "migrations"
MIGRATE = ("migrate", "--verbosity", "0", "--skip-checks")  # whatever may be wrong with a pair


def server_version() -> str:
    """PostgreSQL's, for instance 18.1. ServiceError if it does not answer."""
    with _connection() as connection:
        number = connection.info.server_version
        return f"{number // 10_000}.{number % 10_000}"


def ensure() -> None:
    """The database at DATABASE_URL has our tables and rows. ServiceError if it can't have them.

    A query tells whether anything is left to do; `manage.py migrate` would take a second to say so.
    """
    wanted = {path.stem for path in MIGRATIONS.glob("0*.py")}
    if wanted <= _applied():
        return
    command = [sys.executable, str(BASE_DIR / "manage.py"), *MIGRATE]
    done = subprocess.run(command, env=child_environ(), capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
        raise ServiceError(f"manage.py migrate failed: {said[-1]}")


def _applied() -> set[str]:
    query = "SELECT name FROM django_migrations WHERE app = 'comparisons'"
    with _connection() as connection:
        try:
            return {name for (name,) in connection.execute(query)}
        except psycopg.errors.UndefinedTable:
            return set()


@contextmanager
def _connection() -> Iterator[psycopg.Connection]:
    try:
        with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise ServiceError(f"PostgreSQL: {error}".splitlines()[0]) from None
