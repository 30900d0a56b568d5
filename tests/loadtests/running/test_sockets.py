"""A server's connections to databases of its own, by its sockets."""

import os
import socket
import subprocess
import sys
from contextlib import closing, contextmanager
from types import SimpleNamespace

import pytest

from loadtests.running.sockets import Sockets, addresses_of

# Connects so many times to each address of its arguments, and says so; a child shares what is open.
CLIENT = """
import os, socket, sys
opened = []
for place in sys.argv[1:]:
    host, _, port = place.rpartition(":")
    kind = socket.AF_INET if host else socket.AF_UNIX
    for _ in range(2):
        one = socket.socket(kind)
        one.connect((host, int(port)) if host else place)
        opened.append(one)
child = os.fork()
if child:
    print("connected", flush=True)
sys.stdin.read()
"""


@contextmanager
def connected(*places):
    """A process that stands for a server, with connections to these."""
    arguments = [sys.executable, "-c", CLIENT, *places]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"connected\n"
        yield SimpleNamespace(process=process)
        process.stdin.close()


@pytest.fixture
def database():
    with closing(socket.create_server(("127.0.0.1", 0), backlog=9)) as listener:
        yield listener.getsockname()[1]


def count(databases, server):
    counts, _silence = Sockets(databases).of(server)
    return counts.connections


def test_connections_to_the_database_count_once_and_no_others(database):
    with (
        closing(socket.create_server(("127.0.0.1", 0), backlog=9)) as other,
        connected(f"127.0.0.1:{database}", f"127.0.0.1:{other.getsockname()[1]}") as server,
    ):
        assert count([("localhost", database)], server) == 2
        assert count([("127.0.0.1", 1)], server) == 0
        assert count([], server) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not tell whose peer is whose")
def test_connections_over_unix_sockets_by_the_socket_or_its_folder(tmp_path):
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        path = f"/tmp/{os.getpid()}.s.PGSQL.1"
        listener.bind(path)
        try:
            listener.listen(9)
            with (
                connected(path) as server,
                closing(listener.accept()[0]),
                closing(listener.accept()[0]),
            ):
                assert count([path], server) == 2
                assert count(["/tmp"], server) == 2
                assert count([str(tmp_path)], server) == 0
        finally:
            os.remove(path)


def test_dead_server_has_none(database):
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert count([("127.0.0.1", database)], SimpleNamespace(process=gone)) == 0


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        (("django.db.backends.postgresql", "db.example", ""), ("db.example", 5432)),
        (("django.db.backends.postgresql", "db.example", "6432"), ("db.example", 6432)),
        (("django.db.backends.postgresql", "", ""), "/var/run/postgresql"),
        (("django.contrib.gis.db.backends.postgis", "/run/pg", ""), "/run/pg"),
        (("django.db.backends.mysql", "127.0.0.1", 3307), ("127.0.0.1", 3307)),
        (("django.db.backends.mysql", "", None), "/run/mysqld/mysqld.sock"),
        (("mssql", "db.example", 1433), ("db.example", 1433)),
    ],
)
def test_where_a_database_of_the_settings_listens(entry, place):
    assert place in addresses_of(*entry)


def test_sqlite_listens_nowhere():
    assert addresses_of("django.db.backends.sqlite3", "", "") == set()
