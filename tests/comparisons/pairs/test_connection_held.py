"""How many calls wait together, with a pool smaller than the users, on a real server."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from comparisons.pairs import connection_held
from tests.support.clients import PATIENCE, get_many, until
from tests.support.postgres import BUSY, backends, server_of

SIZE, USERS = connection_held.SIZE, 12


class HeldCalls(ThreadingHTTPServer):
    """An upstream that keeps all who call until it lets them go."""

    request_queue_size = 100  # connections that nobody has accepted yet

    def __init__(self):
        super().__init__(("127.0.0.1", 0), HeldCall)
        self.lock, self.go_on, self.under_way = threading.Lock(), threading.Event(), 0

    def hold_exactly(self, count):
        """Wait until so many have called; they stay as many while others have time to come."""
        until(lambda: self.under_way == count)
        for _ in range(20):
            assert self.under_way == count
            time.sleep(0.005)


class HeldCall(BaseHTTPRequestHandler):
    def do_GET(self):
        with self.server.lock:
            self.server.under_way += 1
        self.server.go_on.wait(PATIENCE)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def upstream():
    with HeldCalls() as calls, ThreadPoolExecutor(1) as thread:
        thread.submit(calls.serve_forever, poll_interval=0.01)
        try:
            yield calls
        finally:
            calls.go_on.set()
            calls.shutdown()


@contextmanager
def asked_by_all(variant, expected):
    """Yield the server while exactly so many of USERS who have asked wait for the upstream."""
    with (
        upstream() as calls,
        server_of(
            connection_held, variant, UPSTREAM_URL=f"http://127.0.0.1:{calls.server_port}"
        ) as (server, path),
        ThreadPoolExecutor(1) as clients,
    ):
        try:
            asking = clients.submit(get_many, server, path, USERS, at_once=USERS)
            calls.hold_exactly(expected)
            yield server
        finally:
            calls.go_on.set()
        assert asking.result() == {200: USERS}


@pytest.mark.parametrize(
    ("variant", "together"),
    [
        pytest.param("sync_held", SIZE, marks=pytest.mark.long),
        pytest.param("sync_closing", USERS, marks=pytest.mark.long),
        ("async_held", SIZE),
        ("async_closing", USERS),
        ("async_native", USERS),
    ],
)
def test_calls_wait_together_as_connections_allow_unless_these_are_given_back(variant, together):
    with asked_by_all(variant, together):
        pass


@pytest.mark.parametrize("variant", ["sync_held", "async_held"])
def test_postgres_idles_while_others_wait_for_a_connection(variant, postgres):
    with asked_by_all(variant, SIZE) as server:
        assert len(backends(postgres, server.name)) == SIZE
        assert not backends(postgres, server.name, BUSY)
