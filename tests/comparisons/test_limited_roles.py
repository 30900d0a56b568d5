"""The roles with a connection limit, and a database whose role may make none."""

import os
import subprocess
import sys

import psycopg
import pytest

from comparisons.pairs import connections as connections_pair
from loadtests.running import rows
from project.processes import BASE_DIR
from tests.support.postgres import url_of

MIGRATE = [sys.executable, "manage.py", "migrate", "--verbosity", "0", "comparisons"]


@pytest.fixture
def database_of_a_plain_role(superuser):
    """The address of an empty database whose owner may not create roles."""
    superuser.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
    superuser.execute("CREATE DATABASE plain OWNER plain")
    yield url_of(superuser, "plain", "plain", "plain")
    superuser.execute("DROP DATABASE plain WITH (FORCE)")
    superuser.execute("DROP ROLE plain")


@pytest.mark.parametrize("target", [[], pytest.param(["0002"], marks=pytest.mark.long)])
def test_migration_leaves_roles_out_that_it_may_not_create(
    target, database_of_a_plain_role, superuser
):
    environ = os.environ | {"DATABASE_URL": database_of_a_plain_role}
    for arguments in dict.fromkeys([(), tuple(target)]):
        subprocess.run([*MIGRATE, *arguments], cwd=BASE_DIR, env=environ, check=True)
    with psycopg.connect(database_of_a_plain_role) as plain:
        found = plain.execute("SELECT to_regclass('comparisons_account')").fetchone()
    assert found == (None if target else "comparisons_account",)
    query = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'comparisons_limited_%'"
    assert superuser.execute(query).fetchone() == (0,)


def test_rows_say_when_nobody_can_log_in_as_these_roles(database_of_a_plain_role, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", database_of_a_plain_role)  # another password than theirs
    row = rows.rows_of(connections_pair.comparison, [], None)[0]
    assert "cannot log in as comparisons_limited_0" in rows.why_unmeasurable(row)
