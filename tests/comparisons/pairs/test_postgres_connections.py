"""What the pairs about connections claim: limits, leaks, pools, PgBouncer, a restarting Postgres.

Each leak and each limit is made to happen on a real server, whose backends are counted by their
application name; and each remedy ends with none leaked after many requests, some of them cancelled.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote, urlsplit

import psutil
import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper
from psycopg import AsyncConnection

from comparisons.pairs import (
    connection_per_request,
    orm_in_async,
    persistent_under_asgi,
    pgbouncer,
    pool_size,
)
from comparisons.pairs import connections as connections_pair
from loadtests.arguments import reshape
from loadtests.judging.measurements import measurement
from loadtests.judging.validity import why_invalid
from loadtests.running import measuring, selection, servers
from loadtests.running.backends import Backends
from loadtests.running.measuring import load_generator, measure
from loadtests.running.schedule import QUICK, Plan
from loadtests.running.servers import ServerError
from project.deployments import DATABASE_MODES as MODES
from project.deployments import DEPLOYMENTS
from project.ports import free_port
from project.processes import BASE_DIR
from project.services import pgbouncer as bouncing
from project.services import postgres as embedded
from tests.support.clients import PATIENCE, answer, get_many, until
from tests.support.postgres import BUSY, backends, path_of, server_of, url_of

# --- connections


LIMITED_ROLE = "comparisons_limited_31"


@contextmanager
def connected(role, count):
    """So many connections of this role, held by somebody else; and no other, at the start."""
    others = "SELECT 1 FROM pg_stat_activity WHERE usename = %s"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as watcher:
        until(lambda: not watcher.execute(others, [role]).fetchone())
    held = []
    try:
        for _ in range(count):
            held.append(psycopg.connect(os.environ["DATABASE_URL"], user=role))
        yield
    finally:
        for one in held:
            one.close()


def test_the_role_may_log_in_as_often_as_its_limit_says(postgres):
    limit = connections_pair.LIMIT
    with (
        connected(LIMITED_ROLE, limit),
        pytest.raises(psycopg.OperationalError, match="too many connections for role"),
    ):
        psycopg.connect(os.environ["DATABASE_URL"], user=LIMITED_ROLE)


@pytest.mark.parametrize("variant", connections_pair.WITHOUT_POOL)
def test_without_a_pool_who_comes_above_the_limit_is_refused(variant, sleep):
    users, limit = 20, connections_pair.LIMIT

    async def crowd(running, let_go):
        """While the first query is held, all others are refused."""
        asking = [asyncio.ensure_future(answer(*running)) for _ in range(users)]
        statuses = []
        for number, answered in enumerate(asyncio.as_completed(asking), start=1):
            statuses.append((await answered)[0])
            if number == users - 1:
                let_go()
        return statuses

    with server_of(connections_pair, variant, **sleep.environ) as running:
        with connected(LIMITED_ROLE, limit - 1), sleep.held() as let_go:
            assert asyncio.run(crowd(running, let_go)) == [503] * (users - 1) + [200]
        assert get_many(*running, 1) == {200: 1}


@pytest.mark.parametrize("variant", connections_pair.WITH_POOL)
def test_with_a_pool_who_comes_above_the_limit_waits(variant, postgres, sleep):
    users, limit, size = 20, connections_pair.LIMIT, connections_pair.POOL
    with (
        connected(LIMITED_ROLE, limit - size),
        server_of(connections_pair, variant, **sleep.environ) as (server, path),
    ):
        sleep.run_at_once(size, server, path, ask=users)
        assert len(backends(postgres, server.name)) == size


def test_who_logs_in_as_a_role_that_is_not_there_is_told_its_name():
    with server_of(connections_pair, "sync_threads", DATABASE_ROLE="nobody_at_all") as running:
        status, body = asyncio.run(answer(*running))
    assert status == 503
    assert "nobody_at_all" in json.loads(body)["error"]


MIGRATE = [sys.executable, "manage.py", "migrate", "--verbosity", "0", "comparisons"]


@pytest.fixture
def database_of_a_plain_role(superuser):
    """The address of an empty database whose owner may not create roles."""
    superuser.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
    superuser.execute("CREATE DATABASE plain OWNER plain")
    yield url_of(superuser, "plain", "plain", "plain")
    superuser.execute("DROP DATABASE plain WITH (FORCE)")
    superuser.execute("DROP ROLE plain")


@pytest.mark.parametrize("target", [[], ["0002"]])
def test_without_the_right_to_create_roles_the_migration_leaves_them_out(
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


def test_where_nobody_can_log_in_as_these_roles_the_rows_say_so(
    database_of_a_plain_role, monkeypatch
):
    monkeypatch.setenv("DATABASE_URL", database_of_a_plain_role)  # another password than theirs
    row = selection.rows_of(connections_pair.comparison, [], None)[0]
    assert "can't log in as comparisons_limited_0" in measuring._why_not(row)


# --- connection-per-request


@pytest.mark.parametrize("variant", ["sync_new", "sync_null_pool", "async_new"])
def test_a_connection_ends_with_its_request(variant, postgres):
    with server_of(connection_per_request, variant) as (server, path):
        assert get_many(server, path, 5, at_once=1) == {200: 5}
        until(lambda: not backends(postgres, server.name))


@pytest.mark.parametrize(
    "variant", ["sync_persistent", "sync_pool", "async_django_pool", "async_native"]
)
def test_a_connection_outlives_its_request(variant, postgres):
    with server_of(connection_per_request, variant) as (server, path):
        assert get_many(server, path, 1) == {200: 1}
        first = backends(postgres, server.name)
        assert first
        assert get_many(server, path, 5, at_once=1) == {200: 5}
        assert first <= backends(postgres, server.name)


def test_connecting_takes_several_round_trips_and_a_query_takes_one(postgres):
    spoke, ended = [], None

    async def forward(reader, writer, who):
        while data := await reader.read(65536):
            spoke.append(who)
            writer.write(data)
        writer.close()
        await writer.wait_closed()

    async def accept(reader, writer):
        of_server = await asyncio.open_connection("127.0.0.1", postgres.info.port)
        await asyncio.gather(
            forward(reader, of_server[1], "client"), forward(of_server[0], writer, "postgres")
        )
        ended.set()

    def round_trips():
        """Since the last time."""
        turns = [who for who, _ in groupby(spoke)].count("postgres")
        spoke.clear()
        return turns

    async def main():
        nonlocal ended
        ended = asyncio.Event()
        proxy = await asyncio.start_server(accept, "127.0.0.1", 0)
        port = proxy.sockets[0].getsockname()[1]
        async with proxy:
            url = os.environ["DATABASE_URL"]
            async with await AsyncConnection.connect(url, port=port) as new:
                await new.set_autocommit(True)
                connecting = round_trips()
                await new.execute(connection_per_request.SQL)
                asking = round_trips()
            await ended.wait()
            return connecting, asking

    connecting, asking = asyncio.run(main())
    assert asking == 1
    assert connecting >= 2  # the session's start and the password; TCP's handshake came before


# --- persistent-under-asgi


def test_persistent_connections_are_left_behind_by_every_request_under_asgi(postgres):
    deployment = DEPLOYMENTS["asgi-uvicorn"].shaped(database="persistent")
    path = path_of(persistent_under_asgi, "async_django_pool")
    with servers.serving([deployment]) as (server,):
        assert get_many(server, path, 40, at_once=40) == {200: 40}
        # Most of forty: the garbage collector may have come, and Postgres be ending some.
        assert len(backends(postgres, server.name)) > 20
        assert not backends(postgres, server.name, BUSY)


def test_they_are_left_until_the_view_fails(postgres):
    with server_of(persistent_under_asgi, "async_persistent") as (server, path):
        answers = Counter()
        while not answers[500] and answers.total() < 200:
            answers += get_many(server, path, 5)
        assert answers[500]
        assert "too many connections for role" in server.log.read_text()


def test_under_wsgi_they_are_no_more_than_threads(postgres):
    with server_of(persistent_under_asgi, "sync") as (server, path):
        assert get_many(server, path, 100, at_once=40) == {200: 100}
        assert len(backends(postgres, server.name)) <= DEPLOYMENTS["wsgi-threads"].threads


def test_djangos_pool_refuses_persistent_connections():
    settings = connections["default"].settings_dict
    options = {**settings["OPTIONS"], "pool": True}
    both = DatabaseWrapper({**settings, "CONN_MAX_AGE": 60, "OPTIONS": options}, alias="both")
    with pytest.raises(ImproperlyConfigured, match="persistent connections"):
        _ = both.pool


# Each remedy: 1,000 requests, of which 100 are cancelled in the middle of their query.
SIZE = 10


@pytest.mark.parametrize(
    ("module", "variant"),
    [
        pytest.param(persistent_under_asgi, "async_per_request", marks=pytest.mark.long),
        (persistent_under_asgi, "async_django_pool"),
        (persistent_under_asgi, "async_native"),
        pytest.param(pool_size, "async_8", marks=pytest.mark.long),
    ],
)
def test_after_a_thousand_requests_of_which_a_hundred_are_cancelled_no_connection_is_lost(
    module, variant, postgres, sleep
):
    environ = {"POOL_SIZE": str(SIZE)} | sleep.environ
    with server_of(module, variant, **environ) as (server, path):
        answers = get_many(server, path, 1000, every=10, leave_after=module.WAIT / 2)
        assert answers == {200: 900, None: 100}
        until(lambda: not backends(postgres, server.name, BUSY))
        if variant == "async_per_request":
            until(lambda: not backends(postgres, server.name))
        else:
            assert len(backends(postgres, server.name)) <= SIZE
            sleep.run_at_once(SIZE, server, path, ask=3 * SIZE)  # all are usable


@pytest.mark.parametrize("variant", ["async_django_pool", "async_native"])
def test_a_pool_recovers_by_itself_when_its_connections_are_gone(variant, postgres):
    with server_of(persistent_under_asgi, variant, POOL_SIZE="4") as (server, path):
        assert get_many(server, path, 20) == {200: 20}
        before = backends(postgres, server.name)
        for pid in before:
            postgres.execute("SELECT pg_terminate_backend(%s)", [pid])
        until(lambda: not before & backends(postgres, server.name))
        answers = get_many(server, path, 20, at_once=1)
        assert answers[500] <= len(before)  # each once, when its connection turns out to be dead
        assert get_many(server, path, 20) == {200: 20}


# --- pool-size


@pytest.mark.parametrize(("variant", "size"), [("async_2", 2), ("async_8", 8), ("sync_4", 4)])
def test_a_pools_size_is_how_many_queries_run_at_once_however_many_ask(
    variant, size, postgres, sleep
):
    with server_of(pool_size, variant, **sleep.environ) as (server, path):
        sleep.run_at_once(size, server, path, ask=3 * size)
        assert len(backends(postgres, server.name)) == size


def test_a_larger_pool_than_there_are_users_takes_no_more_connections(postgres):
    with server_of(pool_size, "async_64") as (server, path):
        assert get_many(server, path, 40, at_once=4) == {200: 40}
        assert len(backends(postgres, server.name)) <= 8  # one at work and one being put back each


# --- pgbouncer

needs_pgbouncer = pytest.mark.needs("pgbouncer")


def test_pgbouncer_that_does_not_start_says_why(tmp_path, monkeypatch):
    stub = tmp_path / "pgbouncer"
    stub.write_text("#!/bin/sh\necho 'FATAL cannot load config file' >&2\nexit 1\n")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    deployment = DEPLOYMENTS["asgi-uvicorn"].shaped(database="pgbouncer")
    with (
        pytest.raises(ServerError, match="pgbouncer does not start: FATAL cannot load config file"),
        servers.serving([deployment]),
    ):
        pass


@needs_pgbouncer
@pytest.mark.parametrize(
    ("variant", "said"),
    [
        ("async_prepared", "prepared statement"),
        ("async_held_cursor", "invoices"),
    ],
)
def test_what_belongs_to_a_session_does_not_survive_between_transactions(variant, said):
    async def failures():
        answers = await asyncio.gather(*(answer(server, path) for _ in range(40)))
        return [body.decode() for status, body in answers if status == 503]

    with server_of(pgbouncer, variant) as (server, path):
        assert any(said in error for error in until(lambda: asyncio.run(failures())))


@needs_pgbouncer
@pytest.mark.parametrize("variant", ["sync", "async_native"])
def test_behind_pgbouncer_many_clients_share_few_connections(variant, postgres):
    with server_of(pgbouncer, variant) as (server, path):
        assert get_many(server, path, 100, at_once=40) == {200: 100}
        assert 1 <= len(backends(postgres, server.name)) <= pgbouncer.POOL
        children = psutil.Process(server.process.pid).children()
        (bouncer,) = [child for child in children if child.name() == "pgbouncer"]
    assert not bouncer.is_running() or bouncer.status() == psutil.STATUS_ZOMBIE


def test_tls_that_the_address_asks_for_is_between_pgbouncer_and_postgres():
    tls, other = "sslmode=verify-full&sslrootcert=/ca.pem", "options=-c%20a%3D1"
    url = f"postgres://me:secret@db.example/shop?{tls}&{other}"
    lines = bouncing.configuration(url, 6432, Path("/users.txt"), 5).splitlines()
    assert "server_tls_sslmode = verify-full" in lines
    assert "server_tls_ca_file = /ca.pem" in lines
    assert bouncing.through(url, 6432) == f"postgres://me:secret@127.0.0.1:6432/shop?{other}"


@needs_pgbouncer
def test_through_pgbouncer_djangos_iterator_opens_no_cursor_outside_of_a_transaction(postgres):
    with server_of(pgbouncer, "sync") as (server, path):
        assert get_many(server, path, 40, at_once=8) == {200: 40}
        assert not backends(postgres, server.name, "query LIKE '%%_django_curs%%'")


MARKS = {"pgbouncer": needs_pgbouncer, "persistent": pytest.mark.long}


@pytest.mark.parametrize("mode", [pytest.param(mode, marks=MARKS.get(mode, ())) for mode in MODES])
def test_every_deployment_can_have_every_database_mode(mode, postgres):
    shaped = [deployment.shaped(database=mode) for deployment in DEPLOYMENTS.values()]
    with servers.serving(shaped) as running:
        for server in running:
            assert get_many(server, path_of(orm_in_async, "sync"), 5) == {200: 5}
            if mode == "none":
                until(lambda name=server.name: not backends(postgres, name))
            else:
                assert 1 <= len(backends(postgres, server.name)) <= 20


@needs_pgbouncer
def test_after_a_thousand_requests_through_pgbouncer_no_connection_is_lost(postgres):
    with server_of(pgbouncer, "async_native") as (server, path):
        answers = get_many(server, path, 1000, every=10, leave_after=0.005)
        assert answers[200] == 900
        until(lambda: not backends(postgres, server.name, BUSY))
        assert get_many(server, path, 20) == {200: 20}
        assert len(backends(postgres, server.name)) <= pgbouncer.POOL


def test_without_the_program_the_rows_say_so(monkeypatch):
    monkeypatch.setattr(bouncing, "program", lambda: None)
    measured = []
    comparison = pgbouncer.comparison
    one = [v for v in comparison.variants if v.name == "async_native"]
    alone = replace(comparison, variants=one, expectations=[])
    rows = selection.rows_of(alone, [], None)
    measure(alone, rows, QUICK, 1, None, lambda: [], measured.append)
    (row,) = [measurement([round_], None, 0.95) for round_ in measured]
    assert not row.valid
    assert "pgbouncer is not installed" in row.invalid_because[0]


def test_without_the_program_the_option_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(bouncing, "program", lambda: None)
    options = {"workers": None, "threads": None, "database": "pgbouncer"}
    with pytest.raises(CommandError, match="pgbouncer is not installed"):
        reshape([DEPLOYMENTS["asgi-uvicorn"]], options)


# --- A PostgreSQL that restarts


@contextmanager
def own_postgres(folder, *options):
    """Its address, and a function that restarts it."""
    command, url = embedded.prepare(folder, free_port())
    command += options
    running = []

    def up():
        try:
            return not psycopg.connect(url).close()
        except psycopg.OperationalError:
            return False

    def start():
        log = open(folder / "server.log", "ab")  # noqa: SIM115  closed below
        running.append(subprocess.Popen(command, stdout=log, stderr=log))
        log.close()
        until(up)

    def stop():
        running[-1].send_signal(signal.SIGINT)
        running[-1].wait(PATIENCE)

    start()
    try:
        yield url, lambda: (stop(), start())
    finally:
        stop()


@pytest.mark.parametrize("variant", ["async_django_pool", "async_native"])
def test_a_round_in_which_postgres_restarts_is_invalid_and_the_next_is_right(
    variant, tmp_path, monkeypatch, undisturbed
):
    comparison = persistent_under_asgi.comparison
    one = [v for v in comparison.variants if v.name == variant]
    small = replace(comparison, variants=one, expectations=[])
    measured = []
    count = Backends.count

    with own_postgres(tmp_path) as (url, restart), load_generator() as generator:

        def count_and_restart(self, name):
            """In the second round."""
            if len(measured) == 1 and not restarted:
                restarted.append(restart())
            return count(self, name)

        restarted = []
        monkeypatch.setattr(Backends, "count", count_and_restart)
        monkeypatch.setenv("DATABASE_URL", url)
        rows, plan = selection.rows_of(small, [], None), Plan(window=1.5, looks=(4,))
        able = replace(generator, capacity=None)
        measure(small, rows, plan, 1, able, lambda: [], measured.append)
    reasons = [why_invalid(round_, None) for round_ in measured]
    assert "PostgreSQL was away" in reasons[1]
    assert any("failed: status 500" in reason for reason in reasons[1])
    assert [reasons[0], reasons[-1]] == [[], []]


# --- A PostgreSQL behind a Unix socket


@pytest.fixture
def sockets():
    """A folder with the short path that a socket must have, for whomever PostgreSQL runs as."""
    with TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield folder


def test_without_a_host_and_port_all_is_measured_but_at_a_distance(
    tmp_path, sockets, monkeypatch, undisturbed
):
    comparison = persistent_under_asgi.comparison
    one = [v for v in comparison.variants if v.name == "async_native"]
    small = replace(comparison, variants=one, expectations=[])
    (near,) = selection.rows_of(small, [], None)
    measured = []
    with (
        own_postgres(tmp_path, f"--unix_socket_directories={sockets}") as (url, _restart),
        load_generator() as generator,
    ):
        parts = urlsplit(url)
        place = parts.netloc.replace(parts.hostname, quote(sockets, safe=""))
        monkeypatch.setenv("DATABASE_URL", parts._replace(netloc=place).geturl())
        rows, plan = [near, replace(near, round_trip=5)], Plan(window=0.3, looks=(2,))
        able = replace(generator, capacity=None)
        measure(small, rows, plan, 1, able, lambda: [], measured.append)
    far, *rounds = [(round_.round_trip, why_invalid(round_, None)) for round_ in measured]
    assert far == (5, ["DATABASE_URL: no TCP host and port that could be put at a distance"])
    assert rounds == [(0, []), (0, [])]
