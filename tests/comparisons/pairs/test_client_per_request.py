"""Who loads the CA certificates, in which thread, and who connects anew."""

import asyncio
import ssl
import threading

import pytest

from comparisons.pairs import client_per_request as pair
from tests.support.clients import until
from tests.support.loops import REQUEST

REQUESTS = 3
LOAD = ssl.SSLContext.load_verify_locations


@pytest.fixture
def loads(monkeypatch):
    """The threads that have loaded certificates, in order; nobody has when the test begins."""
    threads = []

    def noted(self, *files):
        threads.append(threading.current_thread())
        LOAD(self, *files)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", noted)
    pair.shared_context.cache_clear()
    return threads


async def ask(view):
    for _ in range(REQUESTS):
        answer = await view(REQUEST)
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("view", "times"),
    [
        (pair.async_per_request, REQUESTS),
        (pair.async_shared_context, 1),
        (pair.async_shared, 1),
    ],
)
def test_certificates_are_loaded_in_the_thread_of_the_event_loop(view, times, loads):
    asyncio.run(ask(view))
    assert loads == [threading.current_thread()] * times


def test_sync_view_loads_them_in_the_thread_of_its_request(loads):
    for _ in range(REQUESTS):
        thread = threading.Thread(target=pair.sync_per_request, args=[REQUEST])
        thread.start()
        thread.join()
        assert loads[-1] is thread
    assert len(loads) == REQUESTS


def test_other_threads_run_while_one_loads(gil_kept, monkeypatch):
    def another_runs():
        ran, go = [], threading.Lock()
        go.acquire()

        def wait_and_run():
            with go:
                ran.append("another")

        def load(self, *files):
            go.release()
            LOAD(self, *files)
            ran.append("loaded")

        monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", load)
        another = threading.Thread(target=wait_and_run)
        another.start()
        pair.new_context()
        another.join()
        return ran == ["another", "loaded"]

    until(another_runs)  # a busy machine may not wake the other thread in time


@pytest.mark.parametrize(
    ("view", "connections"),
    [
        (pair.async_per_request, REQUESTS),
        (pair.async_shared_context, REQUESTS),
        (pair.async_shared, 1),
    ],
)
def test_client_of_one_request_connects_for_it(view, connections, settings):
    connected = []

    async def serve(reader, writer):
        connected.append(writer)
        async for line in reader:
            if line == b"\r\n":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async def main():
        async with await asyncio.start_server(serve, "127.0.0.1") as server:
            host, port = server.sockets[0].getsockname()
            settings.UPSTREAM_URL = f"http://{host}:{port}"
            await ask(view)
            for writer in connected:
                writer.close()
                await writer.wait_closed()

    asyncio.run(main())
    assert len(connected) == connections
