"""The database's tables and rows: whole or not there, however the making of them ends.

On a PostgreSQL of the tests' own: what holds in a reader's database holds in the embedded one.
Migrations are stopped at a table that somebody else has locked, so that no clock matters.
"""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

from comparisons import limited_roles
from project.processes import BASE_DIR
from project.services import schema
from project.services.service import ServiceError
from tests.support.clients import until
from tests.support.commands import python
from tests.support.postgres import drop_limited_roles, url_of

pytestmark = pytest.mark.timeout(300)  # of a process's first test also the databases are made
TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
ROWS = {"comparisons_customer": 1_000, "comparisons_invoice": 100_000, "comparisons_account": 1_000}


@pytest.fixture(scope="module")
def at(superuser):
    """Databases to copy, each at a migration before the last: their names.

    Each begins as a copy of the one before, for to fill the tables takes seconds. The roles that
    migrations make are the server's, which other files use too: they go at the end.
    """
    with ExitStack() as stack:
        stack.callback(drop_limited_roles, superuser)
        names = {target: f"at_{target}" for target in ("0001", "0002", "0003")}
        template = "template1"
        for target, name in names.items():
            url = stack.enter_context(new_database(superuser, name, template))
            migrate(url, "comparisons", target)
            template = name
        yield names


@pytest.fixture
def database(request, at, superuser, monkeypatch):
    """The address of a database, also in the environment; its role is the superuser.

    The parameter: at which migration it is; without one it is empty.
    """
    drop_limited_roles(superuser)
    template = at.get(getattr(request, "param", None), "template1")
    with new_database(superuser, "reader", template) as url:
        monkeypatch.setenv("DATABASE_URL", url)
        yield url


@contextmanager
def new_database(superuser, name, template):
    superuser.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield url_of(superuser, "postgres", "super", name)
    superuser.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def migrating(url, *targets):
    """The process of `manage.py migrate`, which does not outlive the block."""
    with subprocess.Popen(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0", *targets],
        cwd=BASE_DIR,
        env=os.environ | {"DATABASE_URL": url},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def migrate(url, *targets):
    with migrating(url, *targets) as process:
        assert (process.wait(), process.stderr.read()) == (0, "")


@contextmanager
def locked(url, table):
    """Nobody writes to this table inside the block."""
    with psycopg.connect(url) as connection:
        connection.execute(f"LOCK TABLE {table} IN SHARE MODE")
        yield


def waiting(superuser, count=1):
    """Whether so many migrations wait for a lock, or for another migration."""
    query = (
        "SELECT count(*) = %s FROM pg_stat_activity "
        "WHERE datname IN ('reader', 'other') AND wait_event_type = 'Lock'"
    )
    return superuser.execute(query, [count]).fetchone()[0]


def gone(superuser):
    """Whether PostgreSQL has noticed that those who migrated are no more."""
    query = "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'reader'"
    return superuser.execute(query).fetchone()[0]


def value(url, query):
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchone()[0]


def rows(url):
    return {table: value(url, f"SELECT count(*) FROM {table}") for table in ROWS}


def assert_whole(url):
    """All rows are there, with the ids that the views ask for, and more can be added."""
    assert rows(url) == ROWS
    for table, count in ROWS.items():
        ids = value(url, f"SELECT ARRAY[min(id), max(id)] FROM {table}")
        assert ids == [1, count]
        assert value(url, f"SELECT nextval(pg_get_serial_sequence('{table}', 'id'))") == count + 1
    assert value(url, "SELECT count(*) FROM auth_user WHERE username = 'comparisons-reader'") == 1
    assert value(url, "SELECT to_regclass('django_session') IS NOT NULL")


# The migration that is there, the table at which the next ones wait, and what ends them there.
INTERRUPTIONS = [
    pytest.param("0001", "comparisons_invoice", signal.SIGINT, marks=pytest.mark.long),
    pytest.param("0001", "comparisons_invoice", signal.SIGTERM, marks=pytest.mark.long),
    pytest.param("0001", "comparisons_invoice", signal.SIGKILL, marks=pytest.mark.long),
    (None, "pg_authid", signal.SIGKILL),  # at the end of all of them
]


@pytest.mark.parametrize(("database", "table", "number"), INTERRUPTIONS, indirect=["database"])
def test_interrupted_migrate_leaves_nothing_and_can_be_repeated(database, table, number, superuser):
    tables = value(database, TABLES)
    with locked(database, table), migrating(database) as process:
        until(lambda: waiting(superuser))
        process.send_signal(number)
        process.communicate()
    until(lambda: gone(superuser))
    assert value(database, TABLES) == tables
    schema.ensure()
    assert_whole(database)


@pytest.mark.parametrize("database", ["0001"], indirect=True)
def test_sequences_that_failed_attempts_moved_do_no_harm(database):
    value(database, "SELECT setval('comparisons_customer_id_seq', 1939)")
    schema.ensure()
    assert_whole(database)


@pytest.mark.parametrize("database", ["0001"], indirect=True)
def test_tables_without_their_record_are_recognised(database):
    with psycopg.connect(database) as connection:  # as a kill between the two left them
        connection.execute("DELETE FROM django_migrations")
    schema.ensure()
    assert_whole(database)


@pytest.mark.parametrize("database", ["0003"], indirect=True)
def test_database_of_an_earlier_version_gets_users_and_sessions(database):
    assert value(database, "SELECT to_regclass('auth_user') IS NULL")
    schema.ensure()
    assert_whole(database)


@pytest.mark.long
@pytest.mark.parametrize("database", ["0003"], indirect=True)
def test_reader_of_an_undone_migration_is_gone(database):
    schema.ensure()
    migrate(database, "comparisons", "0003")
    assert value(database, "SELECT count(*) FROM auth_user") == 0
    schema.ensure()
    assert_whole(database)


@pytest.mark.parametrize("database", ["0002"], indirect=True)
def test_migrations_can_be_undone_and_done_again(database):
    migrate(database, "comparisons", "0001")
    migrate(database)
    assert_whole(database)


@pytest.mark.parametrize("database", ["0001"], indirect=True)
def test_second_migrate_waits_for_the_first(database, superuser):
    with ExitStack() as stack:
        with locked(database, "comparisons_invoice"):
            both = [stack.enter_context(migrating(database)) for _ in range(2)]
            until(lambda: waiting(superuser, 2))
        assert [(one.wait(), one.stderr.read()) for one in both] == [(0, "")] * 2
    assert_whole(database)


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(False, id="new roles", marks=pytest.mark.long),
        pytest.param(True, id="known roles", marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("database", ["0002"], indirect=True)
def test_two_databases_of_one_server_may_be_migrated_at_once(known, database, at, superuser):
    with ExitStack() as stack:
        other = new_database(superuser, "other", at["0002"])
        urls = [database, stack.enter_context(other)]
        if known:
            superuser.execute("CREATE ROLE comparisons_limited_0")
        with locked(database, "pg_authid"):  # of the whole server
            both = [stack.enter_context(migrating(url)) for url in urls]
            until(lambda: waiting(superuser, 2))
        assert [(one.wait(), one.stderr.read()) for one in both] == [(0, "")] * 2
    query = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'comparisons_limited_%'"
    assert superuser.execute(query).fetchone() == (len(limited_roles.NAMES),)


# What is done to the database first, who then comes, and what they are told.
REFUSALS = {
    "no right to create": ("", "poor", "permission denied for schema public"),
    "no right to read": (
        "CREATE TABLE django_migrations (id int, app text, name text, applied timestamptz)",
        "poor",
        "permission denied for table django_migrations",
    ),
    "read-only": (
        "ALTER DATABASE reader SET default_transaction_read_only = on",
        "postgres",
        "cannot execute CREATE TABLE in a read-only transaction",
    ),
    "somebody else's table": (
        "CREATE TABLE comparisons_customer (key text)",
        "postgres",
        'relation "comparisons_customer" already exists',
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_database_that_cannot_have_tables_is_refused_in_one_line(
    case, database, superuser, monkeypatch
):
    sql, role, reason = REFUSALS[case]
    superuser.execute("CREATE ROLE poor LOGIN PASSWORD 'super'")
    try:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(sql)
        monkeypatch.setenv("DATABASE_URL", url_of(superuser, role, "super", "reader"))
        with pytest.raises(ServiceError) as refusal:
            schema.ensure()
        assert str(refusal.value).endswith(f": {reason}")
        if case == "read-only":  # which `migrate` says as all of them
            done = python("manage.py", "migrate", "--verbosity", "0")
            assert (done.returncode, done.stderr) == (1, f"CommandError: {reason}\n")
    finally:
        superuser.execute("DROP ROLE poor")
