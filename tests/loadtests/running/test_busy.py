"""What Postgres and the upstream are busy with for one server, and the end of idle connections."""

import os
import socket
import threading
import time
from contextlib import ExitStack, closing
from types import SimpleNamespace
from urllib.parse import urlsplit

import psycopg
import pytest

from loadtests.running.backends import Backends, Counts
from loadtests.running.sampling import calls_under_way
from project.services.service import ServiceError
from tests.support.clients import PATIENCE, until
from tests.support.postgres import backends as backends_of

NAME = f"test_busy {os.getpid()}"


@pytest.fixture
def counting():
    with closing(Backends(os.environ["DATABASE_URL"])) as counting:
        yield counting


@pytest.fixture
def three(sleep):
    """Connections of one application: idle, in a query, and in a transaction."""
    with ExitStack() as stack:

        def connect(**more):
            url = os.environ["DATABASE_URL"]
            connection = psycopg.connect(url, application_name=NAME, autocommit=True, **more)
            return stack.enter_context(closing(connection))

        idle, querying, in_transaction = connect(), connect(options=sleep.options), connect()
        in_transaction.execute("BEGIN")
        thread = threading.Thread(target=querying.execute, args=("SELECT pg_sleep(0)",))
        stack.callback(thread.join, PATIENCE)
        stack.enter_context(sleep.held())
        thread.start()
        until(sleep.waiting)
        yield idle, querying, in_transaction


def test_connections_queries_and_transactions_are_counted_apart(three, counting):
    """A query has a transaction, its own if no other."""
    counts, _silence = counting.count(NAME)
    assert counts == Counts(connections=3, queries=1, transactions=2)
    counts, _silence = counting.count("nobody")
    assert counts == Counts()


def test_connections_that_do_nothing_are_ended_and_no_others(three, counting, postgres):
    idle, querying, in_transaction = (one.info.backend_pid for one in three)
    time.sleep(0.02)  # of what was used within 10 ms, the next query may be on its way
    counting.end_idle(NAME)
    until(lambda: backends_of(postgres, NAME) == {querying, in_transaction})
    assert idle not in backends_of(postgres, NAME)
    counting.end_idle("nobody")


def test_upstream_says_how_many_calls_of_a_server_it_is_busy_with():
    server = SimpleNamespace(nonce=f"busy-{os.getpid()}")
    url = urlsplit(f"{os.environ['UPSTREAM_URL']}/of/{server.nonce}/wait/60000")
    assert calls_under_way(server) == 0
    with closing(socket.create_connection((url.hostname, url.port), PATIENCE)) as call:
        call.sendall(f"GET {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode())
        until(lambda: calls_under_way(server) == 1)
    until(lambda: calls_under_way(server) == 0)  # its client has left


def test_upstream_that_is_away_is_said_in_one_line(monkeypatch):
    monkeypatch.setenv("UPSTREAM_URL", "http://127.0.0.1:1")
    with pytest.raises(ServiceError, match="does not tell what it is busy with") as away:
        calls_under_way(SimpleNamespace(nonce="any"))
    assert "\n" not in str(away.value)
