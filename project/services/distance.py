"""Puts services at a distance: a TCP proxy that delays whatever passes by half a round trip.

It delays and nothing else: order is kept, a connection has as many bytes under way as it likes (up
to WINDOW), and half closes and resets travel like data. A new connection costs a round trip before
its first byte leaves, as TCP's handshake does; only connect() itself returns at once, because the
kernel answers it on loopback. So the first byte arrives one and a half round trips after connect(),
and a target that refuses shows as a reset one round trip after it. Loss, congestion control (slow
start) and a link's bandwidth are not simulated.

    python -m project.services.distance MS HOST:PORT ...   a port for each target; Enter ends it
    python -m project.services.distance measure            how exact and quick it is here
"""

import asyncio
import contextlib
import ctypes
import functools
import json
import math
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import psutil
import uvloop

from project import signals
from project.environment import child_environ
from project.processes import BASE_DIR, dying_with_parent, raise_file_limit
from project.services.service import ServiceError

DEFAULT_PORTS = {"postgres": 5432, "postgresql": 5432, "redis": 6379, "http": 80}
NAMED = ("https", "rediss")  # their clients compare the certificate's name with the address
# Bytes that one direction of a connection may have under way: 100 ms at 1 Gbit/s take 12.5 MB.
WINDOW = 16 * 2**20
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger


class DistanceError(ServiceError):
    """No distance can be put there; its text is one line for the terminal."""


@contextlib.contextmanager
def at_distance(round_trip_ms: float, urls: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Put the URLs `round_trip_ms` away: name -> URL with the proxy's host and port.

    One proxy process for all of them; it ends with the block. At 0 ms there is none and the URLs
    stay as they are. Raises DistanceError: at the start for a round trip or URL that makes no sense
    or a proxy that does not start, at the end if the proxy died inside the block.
    """
    if not 0 <= round_trip_ms < math.inf:
        raise DistanceError(f"a round trip cannot take {round_trip_ms} ms")
    targets = [_target(name, url) for name, url in urls.items()] if round_trip_ms else []
    if not targets:
        yield dict(urls)
        return
    try:
        proxy = subprocess.Popen(
            dying_with_parent(
                [sys.executable, "-m", "project.services.distance", str(round_trip_ms), *targets]
            ),
            cwd=BASE_DIR,
            env=child_environ(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the command, which then ends the block
        )
    except OSError as error:
        raise DistanceError(f"the proxy did not start: {error.strerror}") from error
    with proxy:
        try:
            assert proxy.stdout
            if not (ports := proxy.stdout.readline()):
                raise DistanceError(f"the proxy did not start: exit status {proxy.wait()}")
            yield {
                name: _moved(url, port)
                for (name, url), port in zip(urls.items(), json.loads(ports), strict=True)
            }
            if proxy.poll() is not None:
                raise DistanceError(f"the proxy ended early: exit status {proxy.returncode}")
        finally:
            with signals.held():
                proxy.kill()
                proxy.wait()


def why_no_distance(urls: Mapping[str, str]) -> str:
    """Say why these cannot be put at a distance, in a line; "" if they can."""
    try:
        for name, url in urls.items():
            _target(name, url)
    except DistanceError as error:
        return str(error)
    return ""


def _target(name: str, url: str) -> str:
    """The URL's HOST:PORT. The error does not quote the URL: it may hold a password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        raise DistanceError(f"{name}: malformed URL") from None
    if parts.scheme in NAMED or "sslmode=verify-full" in parts.query.split("&"):
        raise DistanceError(
            f"{name}: its certificate does not name the proxy, which would be in between"
        )
    if not host or not port or "/" in unquote(host):  # a socket's folder
        raise DistanceError(f"{name}: no TCP host and port that could be put at a distance")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _address(target: str) -> tuple[str, int]:
    parts = urlsplit(f"//{target}")
    if not parts.hostname or not parts.port:
        raise ValueError(f"{target}: not HOST:PORT")
    return parts.hostname, parts.port


def _moved(url: str, port: int) -> str:
    parts = urlsplit(url)
    credentials, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{credentials}{at}127.0.0.1:{port}").geturl()


# --- The proxy process ----------------------------------------------------------------------------


class Link:
    """Makes each call a fixed delay after it was sent.

    All that passes has the same way to go, so one queue keeps the order and needs one timer.
    """

    def __init__(self, delay_ns: int) -> None:
        self.delay_ns = delay_ns
        self.under_way: deque[tuple[int, Callable[..., object], tuple[Any, ...]]] = deque()
        self.loop = asyncio.get_running_loop()
        if sys.platform == "linux":
            # The loop's own timers count whole milliseconds; the kernel's count nanoseconds.
            self.libc = ctypes.CDLL(None)
            flags = os.O_NONBLOCK | os.O_CLOEXEC  # the same as TFD_NONBLOCK | TFD_CLOEXEC
            self.timer = self.libc.timerfd_create(time.CLOCK_MONOTONIC, flags)
            self.loop.add_reader(self.timer, self.deliver)

    def send(self, call: Callable[..., object], *args: Any) -> None:
        self.under_way.append((time.monotonic_ns() + self.delay_ns, call, args))
        if len(self.under_way) == 1:
            self.wake_up_for_first()

    def wake_up_for_first(self) -> None:
        due = self.under_way[0][0]
        if sys.platform == "linux":  # once (the first two zeros), at an absolute time (the 1)
            when = (ctypes.c_long * 4)(0, 0, *divmod(due, 10**9))
            self.libc.timerfd_settime(self.timer, 1, when, None)
        else:
            self.loop.call_later(max(0, due - time.monotonic_ns()) / 1e9, self.deliver)

    def deliver(self) -> None:
        if sys.platform == "linux":
            os.read(self.timer, 8)
        now = time.monotonic_ns()
        try:
            while self.under_way and self.under_way[0][0] <= now:
                _, call, args = self.under_way.popleft()
                call(*args)
        finally:  # the others go on if one connection fails
            if self.under_way:
                self.wake_up_for_first()


class Endpoint(asyncio.Protocol):
    """One of the proxy's two sockets of a connection; what it reads, `other` writes later."""

    transport: asyncio.Transport  # from connection_made on
    other: "Endpoint"

    def __init__(self, link: Link, on_connected: Callable[[], object]) -> None:
        self.link = link
        self.on_connected = on_connected  # called one delay later, at the other side
        self.in_flight = 0  # bytes read here and still on the link
        self.read_all = self.wrote_all = False  # to the end of the stream
        # What was read before the other side was connected; None from then on.
        self.early: list[tuple[Callable[..., object], tuple[Any, ...]]] | None = []

    # What the socket tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # event loops set TCP_NODELAY
        self.transport.set_write_buffer_limits(high=WINDOW // 2, low=WINDOW // 4)
        self.link.send(self.on_connected)

    def data_received(self, data: bytes) -> None:
        self.in_flight += len(data)
        self.send(self.other.write, data)
        self.control_flow()

    def eof_received(self) -> bool:
        self.read_all = True
        self.send(self.other.write_eof)
        return not self.wrote_all  # False closes it

    def connection_lost(self, error: Exception | None) -> None:
        if error:  # not closed by the proxy
            self.send(self.other.reset)

    def resume_writing(self) -> None:
        self.other.control_flow()

    # What arrives over the link

    def established(self) -> None:
        early, self.early = self.early or [], None
        for call, args in early:
            self.link.send(call, *args)

    def write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)
        self.other.in_flight -= len(data)
        self.other.control_flow()

    def write_eof(self) -> None:
        self.wrote_all = True
        if self.read_all:
            self.transport.close()
        elif not self.transport.is_closing():
            self.transport.write_eof()

    def reset(self) -> None:
        if not self.transport.is_closing():
            connection = self.transport.get_extra_info("socket")
            with contextlib.suppress(OSError):  # it has been reset meanwhile
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self.transport.abort()

    def send(self, call: Callable[..., object], *args: Any) -> None:
        if self.early is None:
            self.link.send(call, *args)
        else:
            self.early.append((call, args))

    def control_flow(self) -> None:
        """Read while the window has room for what is on the link and in the other's buffer."""
        unsent = self.in_flight
        if self.early is None:
            unsent += self.other.transport.get_write_buffer_size()
        if unsent >= WINDOW:
            self.transport.pause_reading()
        elif not self.read_all:  # it would read the end once more
            self.transport.resume_reading()


def _accept(link: Link, host: str, port: int) -> Endpoint:
    """Make the client's endpoint of a connection: SYN and SYN-ACK take a delay each."""

    async def dial() -> None:
        try:
            await link.loop.create_connection(lambda: server, host, port)
        except OSError:
            link.send(client.reset)

    dialling: list[asyncio.Task[None]] = []  # the loop itself keeps no reference
    client = Endpoint(link, lambda: dialling.append(link.loop.create_task(dial())))
    server = Endpoint(link, client.established)
    client.other, server.other = server, client
    server.early = None
    return client


async def proxy(round_trip_ms: float, targets: list[tuple[str, int]]) -> None:
    """Listen for each target, print the ports as JSON; ends when stdin does, so with its parent."""
    raise_file_limit()  # a connection takes two
    loop = asyncio.get_running_loop()
    link = Link(round(round_trip_ms / 2 * 1e6))
    servers = []
    for host, port in targets:
        accept = functools.partial(_accept, link, host, port)
        servers.append(await loop.create_server(accept, "127.0.0.1", 0, backlog=4096))
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    ended = asyncio.Event()
    with contextlib.suppress(PermissionError):  # epoll refuses a file, /dev/null too
        loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()


# --- Its own precision ----------------------------------------------------------------------------


def measure() -> None:
    """Print how exact the delays are, how much one connection carries, and the proxy's CPU time."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        threading.Thread(target=_answer, args=[listener], daemon=True).start()
        print("round trip ms     p50     p99   error    CPU us     MB/s  CPU us/MB")
        for round_trip in (0, 1, 5, 20, 100):
            with at_distance(round_trip, {"url": url}) as seen:
                address = ("127.0.0.1", urlsplit(seen["url"]).port or 0)
                with socket.create_connection(address) as client:
                    print(f"{round_trip:13}{_figures(client, round_trip)}")


def _answer(listener: socket.socket) -> None:
    """Answer each request, a number in 8 bytes, with that many bytes."""
    block = bytes(2**20)
    while True:
        client, _ = listener.accept()
        with client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while request := client.recv(8):
                left = int.from_bytes(request, "big")
                while left:
                    left -= client.send(block[:left])


def _ask(client: socket.socket, size: int) -> tuple[float, float]:
    """Return the seconds to the first byte of an answer of that size, and then to the last."""
    buffer = bytearray(2**20)
    start = time.perf_counter()
    client.sendall(size.to_bytes(8, "big"))
    left = size - client.recv_into(buffer)
    first = time.perf_counter()
    while left and (received := client.recv_into(buffer)):
        left -= received
    return first - start, time.perf_counter() - first


def _figures(client: socket.socket, round_trip_ms: float) -> str:
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    count = round(min(5000, max(200, 10_000 / (round_trip_ms or 1))))
    _ask(client, 1)
    started = _cpu_of_proxy()
    times = sorted(_ask(client, 1)[0] * 1000 for _ in range(count))
    p50, p99 = times[count // 2], times[count * 99 // 100]
    cpu = (_cpu_of_proxy() - started) / count * 1e6
    megabytes = 2000
    started = _cpu_of_proxy()
    _, seconds = _ask(client, megabytes * 10**6)
    cpu_per_mb = (_cpu_of_proxy() - started) / megabytes * 1e6
    exact = f"{p50:8.3f}{p99:8.3f}{p50 - round_trip_ms:8.3f}"
    return f"{exact}{cpu:10.0f}{megabytes / seconds:9.0f}{cpu_per_mb:11.0f}"


def _cpu_of_proxy() -> float:
    times = [process.cpu_times() for process in psutil.Process().children()]
    return sum(each.user + each.system for each in times)


def main() -> None:
    match sys.argv[1:]:
        case ["measure"]:
            measure()
        case [milliseconds, *targets] if targets:
            try:
                round_trip_ms, addresses = float(milliseconds), [*map(_address, targets)]
                if not 0 < round_trip_ms < math.inf:
                    raise ValueError(f"a round trip cannot take {milliseconds} ms")
            except ValueError as error:
                sys.exit(str(error))
            with contextlib.suppress(KeyboardInterrupt):
                uvloop.run(proxy(round_trip_ms, addresses))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
