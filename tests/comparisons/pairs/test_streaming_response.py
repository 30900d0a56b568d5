"""When rows are read and sent, and what a client who reads slowly holds meanwhile."""

import socket
import warnings
from contextlib import contextmanager

import pytest
from psycopg import AsyncServerCursor, ServerCursor

from comparisons.pairs import persistent_under_asgi, streaming_response
from tests.support.clients import PATIENCE, get_many, until
from tests.support.postgres import BUSY, backends, path_of, run, server_of

PIECES = streaming_response.ROWS // streaming_response.BATCH


@pytest.mark.parametrize("variant", streaming_response.comparison.variants, ids=lambda v: v.name)
def test_file_is_the_same_however_it_is_sent(variant, request_, database, monkeypatch):
    monkeypatch.setattr(streaming_response, "ROWS", 2_500)
    expected = b"".join(streaming_response.sync_streaming(request_))
    assert expected.count(b"\n") == 2_500
    if variant.is_async:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert run(sent(variant.view, request_)) == expected
    else:
        assert b"".join(variant.view(request_)) == expected


async def sent(view, request):
    """What Django's ASGI handler would send."""
    response = await view(request)
    return b"".join([part async for part in response] if response.streaming else [response.content])


@pytest.fixture
def events(database, monkeypatch):
    """What happens: each fetch of a batch is "read"; the last of them finds no rows."""
    happened = []
    fetchmany, async_fetchmany = ServerCursor.fetchmany, AsyncServerCursor.fetchmany

    def recorded(self, size):
        happened.append("read")
        return fetchmany(self, size)

    async def async_recorded(self, size):
        happened.append("read")
        return await async_fetchmany(self, size)

    monkeypatch.setattr(ServerCursor, "fetchmany", recorded)
    monkeypatch.setattr(AsyncServerCursor, "fetchmany", async_recorded)
    return happened


def test_sync_iterator_under_asgi_is_read_whole_before_anything_is_sent(request_, events):
    async def main():
        response = await streaming_response.async_sync_iterator(request_)
        async for _ in response:
            events.append("sent")

    with pytest.warns(Warning, match="must consume synchronous iterators"):
        run(main())
    assert events == ["read"] * (PIECES + 1) + ["sent"] * PIECES


def test_async_iterator_is_sent_while_it_is_read(request_, events):
    async def main():
        async for _ in await streaming_response.async_native(request_):
            events.append("sent")

    run(main())
    assert events == ["read", "sent"] * PIECES + ["read"]


def test_sync_iterator_under_wsgi_is_sent_while_it_is_read(request_, events):
    for _ in streaming_response.sync_streaming(request_):
        events.append("sent")
    assert events == ["read", "sent"] * PIECES + ["read"]


@contextmanager
def slow_client(server, path):
    """It asks, reads the beginning, and then nothing more."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # or the kernel takes it all
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", server.port))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        yield


def test_slow_client_holds_a_connection_until_it_leaves(
    postgres,
):
    with server_of(streaming_response, "async_native") as (server, path):
        with slow_client(server, path), slow_client(server, path):
            until(lambda: len(backends(postgres, server.name, BUSY)) == 2)
            for _ in range(20):  # others are answered meanwhile, and the two go on waiting
                assert get_many(server, "/bystander/", 1) == {200: 1}
            assert len(backends(postgres, server.name, BUSY)) == 2
        until(lambda: not backends(postgres, server.name, BUSY))


def test_slow_client_holds_no_connection_while_a_list_is_sent(postgres):
    with (
        server_of(streaming_response, "async_list") as (server, path),
        slow_client(server, path),
    ):
        until(lambda: not backends(postgres, server.name, BUSY))


def test_slow_client_under_wsgi_holds_a_thread_and_its_connection(postgres):
    """With a pool of one: whoever else needs a connection gets none, until the client leaves."""
    environ = {"SERVED": "", "POOL_SIZE": "1", "POOL_TIMEOUT": "0.2"}
    with server_of(streaming_response, "sync_streaming", **environ) as (server, path):
        other = path_of(streaming_response, "sync_list")
        until(lambda: get_many(server, other, 1) == {200: 1})  # the pool has its connection
        with slow_client(server, path):
            assert get_many(server, other, 1) == {500: 1}
            assert get_many(server, "/bystander/", 1) == {200: 1}
        until(lambda: get_many(server, other, 1) == {200: 1})


def test_streams_that_clients_leave_lose_no_connection(postgres, sleep):
    environ = {"SERVED": "", "POOL_SIZE": "4"} | sleep.environ
    with server_of(streaming_response, "async_native", **environ) as (server, path):
        answers = get_many(server, path, 40, at_once=8, every=4, leave_after=0.01)
        assert answers == {200: 30, None: 10}
        until(lambda: not backends(postgres, server.name, BUSY))
        other = path_of(persistent_under_asgi, "async_native")
        sleep.run_at_once(4, server, other, ask=12)
