"""Which worker has a client's connection, and for how long."""

import socket
from contextlib import ExitStack
from functools import partial
from http.client import HTTPResponse

import psutil
import pytest

from comparisons.pairs import worker_balance as pair
from loadtests.running import servers
from project.deployments import DEPLOYMENTS
from tests.support.clients import PATIENCE, until
from tests.support.postgres import path_of


@pytest.fixture(
    params=[
        pytest.param(v.name, marks=() if v.is_async else pytest.mark.long)
        for v in pair.comparison.variants
        if v.name in pair.KEEPING
    ]
)
def keeping(request):
    yield from serve(request.param)


@pytest.fixture
def hanging_up():
    yield from serve("sync_one_at_a_time")


def serve(name):
    (declared,) = [v for v in pair.comparison.variants if v.name == name]
    deployment = DEPLOYMENTS[declared.deployment].shaped(workers=declared.workers)
    served = {"SERVED": f"{pair.comparison.slug}/{name}"}
    with servers.serving([deployment], [served]) as (server,):
        yield server, path_of(pair, name)


def ask(client, path):
    """Read the answer; return its status."""
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    response = HTTPResponse(client)
    response.begin()
    response.read()
    return response.status


def workers_of(server, clients):
    """The process that has the other end of each client's connection."""
    of_port = {
        connection.raddr.port: process.pid
        for process in psutil.Process(server.process.pid).children(recursive=True)
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port == server.port
    }
    return [of_port.get(client.getsockname()[1]) for client in clients]


def test_client_that_keeps_its_connection_stays_with_its_worker(keeping):
    server, path = keeping
    with ExitStack() as stack:
        connect = partial(socket.create_connection, ("127.0.0.1", server.port), 10)
        clients = [stack.enter_context(connect()) for _ in range(pair.USERS)]
        for client in clients:
            assert ask(client, path) == 200
        workers = workers_of(server, clients)
        assert None not in workers
        assert len(set(workers)) <= pair.WORKERS < len(workers)  # so one has two
        for client in clients:
            assert ask(client, path) == 200
        assert workers_of(server, clients) == workers


def test_sync_worker_hangs_up_and_is_free_for_whoever_waits(hanging_up):
    server, path = hanging_up
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
        assert ask(client, path) == 200
        while client.recv(10_000):  # until the server has hung up
            pass
        until(lambda: workers_of(server, [client]) == [None])
