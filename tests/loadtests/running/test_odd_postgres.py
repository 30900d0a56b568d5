"""Rounds on a PostgreSQL that restarts, and on one behind a Unix socket."""

import os
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from tempfile import TemporaryDirectory
from urllib.parse import quote, urlsplit

import psycopg
import pytest

from comparisons.pairs import persistent_under_asgi
from loadtests.judging.validity import why_invalid
from loadtests.running.backends import Backends
from loadtests.running.rows import rows_of
from loadtests.running.schedule import Plan
from project.ports import free_port
from project.services import postgres as embedded
from tests.support.clients import PATIENCE, until
from tests.support.rounds import measured_rounds


@contextmanager
def own_postgres(folder, *options):
    """Start one; yields its address, and a function that restarts it."""
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


@pytest.mark.parametrize(
    "variant", [pytest.param("async_django_pool", marks=pytest.mark.long), "async_native"]
)
def test_round_with_a_restart_is_invalid_and_the_next_is_right(
    variant, tmp_path, monkeypatch, undisturbed, generator
):
    comparison = persistent_under_asgi.comparison
    (one,) = [v for v in comparison.variants if v.name == variant]
    # A failed answer makes the round invalid.
    small = replace(comparison, variants=[replace(one, may_fail=False)], expectations=[])
    measured = []
    count = Backends.count

    with own_postgres(tmp_path) as (url, restart):

        def count_and_restart(self, name):
            """In the second round."""
            if len(measured) == 1 and not restarted:
                restarted.append(restart())
            return count(self, name)

        restarted = []
        monkeypatch.setattr(Backends, "count", count_and_restart)
        monkeypatch.setenv("DATABASE_URL", url)
        able = replace(generator, capacity=None)
        measured_rounds(small, able, plan=Plan(window=1.5, looks=(4,)), found=measured)
    reasons = [why_invalid(round_, None) for round_ in measured]
    assert "PostgreSQL was away" in reasons[1]
    assert any("failed: status 500" in reason for reason in reasons[1])
    assert [reasons[0], reasons[-1]] == [[], []]


@pytest.fixture
def sockets():
    """A folder with the short path that a socket must have, for whomever PostgreSQL runs as."""
    with TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield folder


def test_rows_at_a_distance_need_a_host_and_port(
    tmp_path, sockets, monkeypatch, undisturbed, generator
):
    comparison = persistent_under_asgi.comparison
    one = [v for v in comparison.variants if v.name == "async_native"]
    small = replace(comparison, variants=one, expectations=[])
    (near,) = rows_of(small, [], None)
    with own_postgres(tmp_path, f"--unix_socket_directories={sockets}") as (url, _restart):
        parts = urlsplit(url)
        place = parts.netloc.replace(parts.hostname, quote(sockets, safe=""))
        monkeypatch.setenv("DATABASE_URL", parts._replace(netloc=place).geturl())
        rows, plan = [near, replace(near, round_trip=5)], Plan(window=0.3, looks=(2,))
        able = replace(generator, capacity=None)
        measured = measured_rounds(small, able, plan=plan, rows=rows)
    far, *rounds = [(round_.round_trip, why_invalid(round_, None)) for round_ in measured]
    assert far == (5, ["DATABASE_URL: no TCP host and port that could be put at a distance"])
    assert rounds == [(0, []), (0, [])]
