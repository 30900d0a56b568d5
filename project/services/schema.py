"""The database's tables and rows: made once, by Django's migrations."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from project.environment import child_environ
from project.processes import BASE_DIR, dying_with_parent
from project.reasons import reason
from project.services.service import ServiceError

MIGRATIONS = BASE_DIR / "comparisons" / "migrations"
# Without checks: a pair may be wrong. --fake-initial: an earlier version's migrate, killed, could
# leave tables without their record.
MIGRATE = ("migrate", "--verbosity", "0", "--skip-checks", "--fake-initial")


def server_version() -> str:
    """Ask PostgreSQL for its version, for instance 18.1. ServiceError if it does not answer."""
    with _connection() as connection:
        number = connection.info.server_version
        return f"{number // 10_000}.{number % 10_000}"


def ensure() -> None:
    """Make our tables and rows in the database at DATABASE_URL, unless they are there.

    A query tells whether anything is left to do; `manage.py migrate` would take a second to say so.
    Of several that come at the same time, one makes them and the others wait.
    Raises ServiceError if they cannot be made.
    """
    wanted = {path.stem for path in MIGRATIONS.glob("0*.py")}
    if wanted <= _applied():
        return
    command = dying_with_parent([sys.executable, str(BASE_DIR / "manage.py"), *MIGRATE])
    done = subprocess.run(command, env=child_environ(), capture_output=True, text=True)
    if done.returncode:
        said = reason(done.stderr or done.stdout).removeprefix("CommandError: ")
        raise ServiceError(f"manage.py migrate failed: {said}")


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
    except psycopg.Error as error:
        raise ServiceError(f"PostgreSQL: {error}".splitlines()[0]) from None
