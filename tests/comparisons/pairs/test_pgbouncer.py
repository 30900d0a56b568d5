"""Many clients on few connections, through a PgBouncer of the server's own."""

import os
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from django.core.management.base import CommandError

from comparisons.pairs import pgbouncer
from loadtests.arguments import reshape
from loadtests.judging.measurements import measurement
from loadtests.running import servers
from loadtests.running.servers import ServerError
from project.deployments import DEPLOYMENTS
from project.services import pgbouncer as bouncing
from tests.support.clients import get_many, until
from tests.support.postgres import BUSY, backends, server_of
from tests.support.rounds import measured_rounds

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
@pytest.mark.parametrize("variant", ["sync", "async_native"])
def test_many_clients_share_few_connections(variant, postgres):
    with server_of(pgbouncer, variant) as (server, path):
        assert get_many(server, path, 100, at_once=40) == {200: 100}
        assert 1 <= len(backends(postgres, server.name)) <= pgbouncer.POOL
        children = psutil.Process(server.process.pid).children()
        (bouncer,) = [child for child in children if child.name() == "pgbouncer"]
    assert not bouncer.is_running() or bouncer.status() == psutil.STATUS_ZOMBIE


def test_tls_of_the_address_is_between_pgbouncer_and_postgres():
    tls, other = "sslmode=verify-full&sslrootcert=/ca.pem", "options=-c%20a%3D1"
    url = f"postgres://me:secret@db.example/shop?{tls}&{other}"
    lines = bouncing.configuration(url, 6432, Path("/users.txt"), 5).splitlines()
    assert "server_tls_sslmode = verify-full" in lines
    assert "server_tls_ca_file = /ca.pem" in lines
    assert bouncing.through(url, 6432) == f"postgres://me:secret@127.0.0.1:6432/shop?{other}"


@pytest.mark.long
@needs_pgbouncer
def test_thousand_requests_through_pgbouncer_lose_no_connection(postgres):
    with server_of(pgbouncer, "async_native") as (server, path):
        answers = get_many(server, path, 1000, every=10, leave_after=0.005)
        assert answers[200] == 900
        until(lambda: not backends(postgres, server.name, BUSY))
        assert get_many(server, path, 20) == {200: 20}
        assert len(backends(postgres, server.name)) <= pgbouncer.POOL


def test_rows_say_when_the_program_is_missing(monkeypatch):
    monkeypatch.setattr(bouncing, "program", lambda: None)
    comparison = pgbouncer.comparison
    one = [v for v in comparison.variants if v.name == "async_native"]
    alone = replace(comparison, variants=one, expectations=[])
    (round_,) = measured_rounds(alone)
    row = measurement([round_], None)
    assert not row.valid
    assert "pgbouncer is not installed" in row.invalid_because[0]


def test_option_is_refused_in_one_line_when_the_program_is_missing(monkeypatch):
    monkeypatch.setattr(bouncing, "program", lambda: None)
    options = {"workers": None, "threads": None, "database": "pgbouncer"}
    with pytest.raises(CommandError, match="pgbouncer is not installed"):
        reshape([DEPLOYMENTS["asgi-uvicorn"]], options)
