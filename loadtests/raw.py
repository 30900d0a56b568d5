"""Raw users: a socket each, prepared bytes to send, the next as soon as the last are answered.

For views that are answered in less time than locust's client takes to ask (a few hundred
microseconds): it would be the limit, and not the server. These take about 20, and check as much:
status, server and body. In one loop, without gevent: a switch for each answer costs as much again.
"""

import gc
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gevent.monkey import get_original

from loadtests.orders import LoadResult, Order

# As they are without gevent.
socket = get_original("socket", "socket")
poll, POLLIN = get_original("select", "poll"), 1

WARM_UP_TIMEOUT_S, DRAIN_TIMEOUT_S, MAX_OVERTIME_S = 20, 60, 5
WAIT_MS = 20  # for an answer, at most, before looking at the clock
TIMEOUT_S = 10  # to connect, and to send
MAX_RECEIVED = 2**16


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[bytes, bytes]  # by their names in lower case
    cookies: dict[bytes, bytes]
    body: bytes


def parsed(data: bytes, ended: bool) -> Answer | None:
    """Parse an HTTP/1.1 response; None if more of it is to come.

    ended: the server has closed the connection. ValueError if it is no such response.
    """
    head, blank, rest = data.partition(b"\r\n\r\n")
    if not blank:
        return None
    status, *lines = head.split(b"\r\n")
    headers, cookies = {}, {}
    for line in lines:
        name, _, value = line.partition(b":")
        headers[name.lower()] = value.strip()
        if name.lower() == b"set-cookie":
            cookie, _, value = value.strip().partition(b";")[0].partition(b"=")
            cookies[cookie] = value
    if headers.get(b"transfer-encoding") == b"chunked":
        body = unchunked(rest)
    elif b"content-length" in headers:
        body = rest if len(rest) >= int(headers[b"content-length"]) else None
    else:
        body = rest if ended else None
    if body is None:
        return None
    return Answer(int(status.split()[1]), headers, cookies, body)


def unchunked(data: bytes) -> bytes | None:
    """Join the chunks of a body; None if the last is yet to come."""
    body = b""
    while True:
        size, line_end, data = data.partition(b"\r\n")
        if not line_end:
            return None
        length = int(size, 16)
        if len(data) < length + 2:
            return None
        if not length:
            return body
        body, data = body + data[:length], data[length + 2 :]


class User:
    """Asks over and over for the same path, with the cookies that it was given."""

    def __init__(self, order: Order) -> None:
        url = urlsplit(order.host)
        self._address = (url.hostname, url.port)
        self._path = f"/{order.comparison}/{order.variant}/"
        self._server = order.server
        self._cookies: dict[bytes, bytes] = {}
        self._received = b""
        # The answer that was checked last, whole: one that is the same needs no other check.
        self._right, self._digest = b"", 0
        self._socket: Any = None
        self.asked: float | None = None  # time.time(); None where nothing is under way
        self._prepare()
        self.connect()

    def _prepare(self) -> None:
        host = "{}:{}".format(*self._address)
        cookies = b"; ".join(b"%s=%s" % cookie for cookie in self._cookies.items())
        self._request = f"GET {self._path} HTTP/1.1\r\nHost: {host}\r\n".encode()
        self._request += (b"Cookie: %s\r\n" % cookies if cookies else b"") + b"\r\n"

    def connect(self) -> None:
        self._socket = socket()
        self._socket.settimeout(TIMEOUT_S)
        self._socket.connect(self._address)

    def fileno(self) -> int:
        return int(self._socket.fileno())

    def close(self) -> None:
        self._socket.close()

    def ask(self) -> None:
        self.asked = time.time()
        self._socket.sendall(self._request)

    def read(self) -> list[Any] | None:
        """Read what has come: a sample as in LoadResult where that ends the answer."""
        data = self._socket.recv(MAX_RECEIVED)
        ended = not data
        self._received = received = self._received + data
        if received == self._right:
            return self._sample(200, None)
        try:
            answer = parsed(received, ended)
        except ValueError:
            return self._sample(0, "no HTTP response")
        if answer is None:
            return self._sample(0, "the connection was closed") if ended else None
        self._digest = zlib.crc32(answer.body)
        who = answer.headers.get(b"x-deployment", b"").decode()
        error = None
        if answer.status != 200:
            error = f"status {answer.status}"
        elif who != self._server:
            error = f"answered by {who!r} instead of {self._server!r}"
        if answer.cookies:
            self._cookies |= answer.cookies
            self._prepare()
        closes = ended or answer.headers.get(b"connection", b"").lower() == b"close"
        self._right = b"" if error or closes or answer.cookies else received
        return self._sample(answer.status, error, closes)

    def _sample(self, status: int, error: str | None, closes: bool = False) -> list[Any]:
        assert self.asked
        now, asked = time.time(), self.asked
        self._received, self.asked = b"", None
        if closes or not status:
            self.close()
            self.connect()
        return [asked, 1000 * (now - asked), status, self._digest, error]


class Users:
    """All users of a round, and the loop that serves them."""

    def __init__(self, order: Order) -> None:
        self.samples: list[list[Any]] = []
        self.stall = 0.0  # seconds, the longest in which the loop did not look
        self._poller = poll()
        self._by_fd: dict[int, User] = {}
        for _ in range(order.users):
            user = User(order)
            self._add(user)
            self._try(user, user.ask)

    def _add(self, user: User) -> None:
        self._by_fd[user.fileno()] = user
        self._poller.register(user.fileno(), POLLIN)

    def serve(self, asks: bool, ends: Callable[[], bool], limit: float) -> None:
        """Read what comes until `ends()`, for `limit` seconds at most; ask on if `asks`."""
        looked = time.monotonic()
        deadline = looked + limit
        while self._by_fd and looked < deadline and not ends():
            for fd, _ in self._poller.poll(WAIT_MS):
                user = self._by_fd[fd]
                if (sample := self._try(user, user.read)) is None:
                    continue
                self.samples.append(sample)
                if user.fileno() != fd:  # it has connected anew
                    self._remove(fd)
                    self._add(user)
                if asks:
                    self._try(user, user.ask)
            now = time.monotonic()
            self.stall = max(self.stall, now - looked - WAIT_MS / 1000)
            looked = now

    def _try(self, user: User, action: Callable[[], Any]) -> Any:
        """Do it; a user whose connection breaks, and who gets no other, leaves with that answer."""
        fd = user.fileno()
        try:
            return action()
        except OSError as error:
            now = time.time()
            asked = user.asked or now
            user.asked = None
            self.samples.append([asked, 1000 * (now - asked), 0, 0, error.strerror or str(error)])
            self._remove(fd)
            user.close()

    def _remove(self, fd: int) -> None:
        self._poller.unregister(fd)
        del self._by_fd[fd]

    def under_way(self) -> list[User]:
        return [user for user in self._by_fd.values() if user.asked]

    def close(self) -> None:
        for user in self._by_fd.values():
            user.close()


def run(order: Order, emit: Callable[..., None]) -> LoadResult:
    """Run one round: until each user has been answered, then the window, then the last answers."""
    users = Users(order)
    gc.disable()  # thousands of samples: a collection takes as long as some requests
    try:
        users.serve(True, lambda: len(users.samples) >= 2 * order.users, WARM_UP_TIMEOUT_S)
        # The window.
        users.stall = 0
        opened, cpu, before = time.time(), time.process_time(), len(users.samples)
        emit("open", at=opened)
        users.serve(True, lambda: False, order.window)
        enough = before + order.min_answers
        users.serve(True, lambda: len(users.samples) >= enough, MAX_OVERTIME_S)
        closed, cpu = time.time(), time.process_time() - cpu
        stall = users.stall
        emit("close", at=closed)
        # The last answers.
        users.serve(False, lambda: not users.under_way(), DRAIN_TIMEOUT_S)
        now = time.time()
        for user in users.under_way():
            assert user.asked
            waited = now - user.asked
            error = f"not answered in {waited:.0f} s"
            users.samples.append([user.asked, 1000 * waited, 0, 0, error])
    finally:
        users.close()
        gc.enable()
    return LoadResult(
        opened=opened,
        closed=closed,
        cpu=cpu / (closed - opened),
        samples=users.samples,
        bystander=[],
        send_delay=0,
        stall=stall,
        clock_jump=0,
    )
