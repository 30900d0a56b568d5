"""The proxy that puts services at a distance. Times are asserted as lower bounds only."""

import contextlib
import itertools
import os
import queue
import random
import re
import shutil
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from project.processes import BASE_DIR
from project.services.distance import DistanceError, at_distance

ROUND_TRIP = 0.2  # seconds
RANDOM_BYTES = random.Random(1).randbytes(8 * 2**20)


@contextlib.contextmanager
def serving(handle: Callable[[socket.socket], object]) -> Iterator[str]:
    """The URL of a server that calls `handle` with each connection, in a thread of its own."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            handle(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01]).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@contextlib.contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    with socket.create_connection(address(url)) as client:
        yield client


@contextlib.contextmanager
def connected_far(handle: Callable[[socket.socket], object]) -> Iterator[socket.socket]:
    """A client's connection to a server that is ROUND_TRIP away."""
    with (
        serving(handle) as url,
        at_distance(ROUND_TRIP * 1000, {"URL": url}) as seen,
        connected(seen["URL"]) as client,
    ):
        yield client


def address(url: str) -> tuple[str, int]:
    host, port = url.removeprefix("http://").split(":")
    return host, int(port)


def echo(connection: socket.socket) -> None:
    while data := connection.recv(2**16):
        connection.sendall(data)


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(2**20), b""))


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def await_refusal(url: str) -> None:
    """Return when nobody listens there any more."""
    with contextlib.suppress(ConnectionRefusedError):
        while True:
            socket.create_connection(address(url)).close()
            time.sleep(0.01)


def proxies() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if "project.services.distance" in child.cmdline()
    ]


# --- The URLs -------------------------------------------------------------------------------------


def test_no_distance_is_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(subprocess, "Popen")
    urls = {"DATABASE_URL": "postgres:///anything"}
    with at_distance(0, urls) as seen:
        assert seen == urls


def test_only_host_and_port_change() -> None:
    urls = {
        "full": "postgres://user:p%40ss@db.example:5433/name?sslmode=disable&application_name=x",
        "default port": "postgres://user@db.example/name",
        "path": "redis://localhost/0",
        "bare": "http://[::1]:8001",
    }
    with at_distance(1, urls) as seen:
        assert {name: re.sub(r"127\.0\.0\.1:\d+", "PROXY", url) for name, url in seen.items()} == {
            "full": "postgres://user:p%40ss@PROXY/name?sslmode=disable&application_name=x",
            "default port": "postgres://user@PROXY/name",
            "path": "redis://PROXY/0",
            "bare": "http://PROXY",
        }


def test_each_url_leads_to_its_own_service() -> None:
    with (
        serving(lambda connection: connection.sendall(b"one")) as one,
        serving(lambda connection: connection.sendall(b"two")) as two,
        at_distance(1, {"one": one, "two": two}) as seen,
    ):
        for name, url in seen.items():
            with connected(url) as client:
                assert read_all(client) == name.encode()


@pytest.mark.parametrize(
    "url",
    [
        "postgres:///name?host=/tmp",
        "postgres://user:secret@%2Ftmp/name",
        "postgres://user:secret@one:1,two:2/name",
        "postgres://user:secret@[broken/name",
        "postgres://user:secret@host/name?sslmode=verify-full",
        "https://user:secret@host",
        "amqp://user:secret@host",
    ],
)
def test_url_without_an_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(DistanceError, match="DATABASE_URL: ") as caught:  # noqa: SIM117
        with at_distance(1, {"DATABASE_URL": url}):
            pass
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("milliseconds", [-1, float("nan"), float("inf")])
def test_impossible_round_trip_is_refused(milliseconds: float) -> None:
    with (
        pytest.raises(DistanceError, match=f"cannot take {milliseconds} ms"),
        at_distance(milliseconds, {}),
    ):
        pass


# --- What passes ----------------------------------------------------------------------------------


def test_answer_takes_a_round_trip() -> None:
    with connected_far(echo) as client:
        client.sendall(b"the handshake is over with the answer")
        client.recv(100)
        start = time.monotonic()
        client.sendall(b"?")
        assert client.recv(1) == b"?"
        assert time.monotonic() - start >= ROUND_TRIP


def test_first_byte_arrives_after_handshake_and_half_a_round_trip() -> None:
    arrived: queue.SimpleQueue[float] = queue.SimpleQueue()

    def handle(connection: socket.socket) -> None:
        connection.recv(1)
        arrived.put(time.monotonic())

    with serving(handle) as url, at_distance(ROUND_TRIP * 1000, {"URL": url}) as seen:
        start = time.monotonic()
        with connected(seen["URL"]) as client:
            client.sendall(b"?")
            assert arrived.get() - start >= 1.5 * ROUND_TRIP


def test_greeting_takes_a_round_trip_from_connect() -> None:
    with (
        serving(lambda connection: connection.sendall(b"hello")) as url,
        at_distance(ROUND_TRIP * 1000, {"URL": url}) as seen,
    ):
        start = time.monotonic()
        with connected(seen["URL"]) as client:
            assert client.recv(5) == b"hello"
        assert time.monotonic() - start >= ROUND_TRIP


def test_bytes_keep_their_order_both_ways() -> None:
    with connected_far(echo) as client:
        sender = threading.Thread(target=client.sendall, args=[RANDOM_BYTES])
        sender.start()
        received = b""
        while len(received) < len(RANDOM_BYTES):
            received += client.recv(2**20)
        sender.join()
    assert received == RANDOM_BYTES


def test_chunks_do_not_wait_for_each_other() -> None:
    """8 MB are more than 30 reads of the proxy: one at a time, each would come later by a delay."""
    pauses: queue.SimpleQueue[list[float]] = queue.SimpleQueue()

    def handle(connection: socket.socket) -> None:
        times = []
        while connection.recv(2**20):
            times.append(time.monotonic())
        pauses.put([later - earlier for earlier, later in itertools.pairwise(times)])

    with connected_far(handle) as client:
        client.sendall(RANDOM_BYTES)
        client.shutdown(socket.SHUT_WR)
        late = [pause for pause in pauses.get() if pause > ROUND_TRIP / 2]
    assert len(late) < 10  # a busy machine may make some late


def test_client_may_end_its_stream_first() -> None:
    with connected_far(lambda connection: connection.sendall(read_all(connection))) as client:
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"question"


def test_server_may_end_its_stream_first() -> None:
    arrived: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def handle(connection: socket.socket) -> None:
        connection.sendall(b"hello")
        connection.shutdown(socket.SHUT_WR)
        arrived.put(read_all(connection))

    with connected_far(handle) as client:
        assert read_all(client) == b"hello"
        client.sendall(b"late")
        client.shutdown(socket.SHUT_WR)
        assert arrived.get() == b"late"


def test_reset_reaches_the_client() -> None:
    with connected_far(reset) as client, pytest.raises(ConnectionResetError):
        client.recv(1)


@pytest.mark.parametrize("handshake_is_over", [False, True])
def test_reset_reaches_the_server(handshake_is_over: bool) -> None:
    outcome: queue.SimpleQueue[object] = queue.SimpleQueue()

    def handle(connection: socket.socket) -> None:
        connection.sendall(b"!")
        try:
            outcome.put(connection.recv(1))
        except ConnectionResetError as error:
            outcome.put(type(error))

    with connected_far(handle) as client:
        if handshake_is_over:
            client.recv(1)
        reset(client)
        assert outcome.get() is ConnectionResetError


def test_refusal_takes_a_round_trip() -> None:
    with serving(echo) as url:
        pass  # nobody listens there now
    with at_distance(ROUND_TRIP * 1000, {"URL": url}) as seen:
        start = time.monotonic()
        with connected(seen["URL"]) as client, pytest.raises(ConnectionResetError):
            client.recv(1)
        assert time.monotonic() - start >= ROUND_TRIP


def test_sender_stops_when_nobody_reads_and_nothing_is_lost() -> None:
    go_on = threading.Event()
    received: queue.SimpleQueue[int] = queue.SimpleQueue()

    def handle(connection: socket.socket) -> None:
        go_on.wait()
        received.put(sum(map(len, iter(lambda: connection.recv(2**20), b""))))

    sent, limit = 0, 2**30
    with connected_far(handle) as client:
        client.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while sent < limit:
                sent += client.send(RANDOM_BYTES)
        assert sent < limit / 4  # the window and the kernel's buffers, which also are megabytes
        client.shutdown(socket.SHUT_WR)
        go_on.set()
        assert received.get() == sent


# --- The process ----------------------------------------------------------------------------------


def test_proxy_is_out_of_reach_of_the_terminal() -> None:
    with at_distance(1, {"URL": "http://127.0.0.1"}):
        [proxy] = proxies()
        assert os.getsid(proxy.pid) == proxy.pid


def test_proxy_ends_with_the_block() -> None:
    with at_distance(1, {"URL": "http://127.0.0.1"}) as seen:
        assert proxies()
    assert not proxies()
    await_refusal(seen["URL"])


def test_proxy_ends_with_an_exception() -> None:
    with pytest.raises(LookupError), at_distance(1, {"URL": "http://127.0.0.1"}):
        raise LookupError
    assert not proxies()


PARENT = """
import os, sys
from project.services.distance import at_distance
with at_distance(1, {"URL": "http://127.0.0.1:9"}) as seen:
    print(seen["URL"], flush=True)
    # Where the kernel tells the proxy, it need not be its stdin that ends: a fork keeps that open.
    child = sys.platform == "linux" and os.fork() == 0
    sys.stdin.read()
    if child:
        os._exit(0)
"""


def test_proxy_ends_with_a_killed_parent() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        cwd=BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout
        url = parent.stdout.readline().strip()
        parent.kill()
        await_refusal(url)


def test_proxy_ends_with_its_stdin() -> None:
    """What ends it where the kernel has no PR_SET_PDEATHSIG."""
    with subprocess.Popen(
        [sys.executable, "-m", "project.services.distance", "1", "127.0.0.1:9"],
        cwd=BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as proxy:
        assert proxy.stdin
        assert proxy.stdout
        proxy.stdout.readline()
        proxy.stdin.close()
        assert proxy.wait() == 0


def test_proxy_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with (
        pytest.raises(DistanceError, match="the proxy did not start: exit status 1"),
        at_distance(1, {"URL": "http://127.0.0.1"}),
    ):
        pass


def test_proxy_that_died_inside_the_block_is_told() -> None:
    with contextlib.ExitStack() as block:
        block.enter_context(at_distance(1, {"URL": "http://127.0.0.1"}))
        [proxy] = proxies()
        proxy.kill()
        os.waitid(os.P_PID, proxy.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(DistanceError, match="the proxy ended early"):
            block.close()
