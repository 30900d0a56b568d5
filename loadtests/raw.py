"""Raw users: a socket each, prepared bytes to send, the next as soon as the last are answered.

For views that are answered in less time than locust's client takes to ask: it would be the limit,
and not the server. These check as much: status, server and body. In one loop, without gevent, whose
switch for each answer would cost as much as the answer.
"""

import gc
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import gevent
from gevent.monkey import get_original

from loadtests.orders import LoadResult, Order, Talk

# As they are without gevent.
socket = get_original("socket", "socket")
poll, POLLIN = get_original("select", "poll"), 1

WARM_UP_TIMEOUT_S, DRAIN_TIMEOUT_S, MAX_OVERTIME_S = 20, 60, 5
WAIT_MS = 20  # for an answer, at most, before looking at the clock
TIMEOUT_S = 10  # to connect, and to send
BREATH_S = 0.2  # after which whatever else runs in this process has its turn
PAUSE_S = 0.1  # of a user whose connection broke: who asks at once asks a dead server all the time
MAX_RECEIVED = 2**16
WITHOUT_BODY = (204, 304)


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
    status_line, *lines = head.split(b"\r\n")
    protocol, code, *_ = [*status_line.split(b" ", 2), b""]
    if not protocol.startswith(b"HTTP/1.") or not code.isdigit():
        raise ValueError(f"{status_line!r} is no status line")
    status = int(code)
    if status < 200:  # a word in between
        return parsed(rest, ended)
    headers, cookies = {}, {}
    for line in lines:
        name, _, value = line.partition(b":")
        headers[name.lower()] = value.strip()
        if name.lower() == b"set-cookie":
            cookie, _, value = value.strip().partition(b";")[0].partition(b"=")
            cookies[cookie] = value
    body: bytes | None
    if status in WITHOUT_BODY:
        body = b""
    elif headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        body = unchunked(rest)
    elif b"content-length" in headers:
        missing = int(headers[b"content-length"]) - len(rest)
        if missing < 0:
            raise ValueError("more has come than one response")
        body = None if missing else rest
    else:
        body = rest if ended else None
    return None if body is None else Answer(status, headers, cookies, body)


def unchunked(data: bytes) -> bytes | None:
    """Join the chunks of a body; None if the last, or what trails it, is yet to come."""
    parts: list[bytes] = []
    place = 0
    while (line_end := data.find(b"\r\n", place)) >= 0:
        length = int(data[place:line_end].partition(b";")[0], 16)
        if length < 0:
            raise ValueError(f"a chunk of {length} bytes")
        if length == 0:
            # Trailers, if any, and then an empty line.
            return b"".join(parts) if data.endswith(b"\r\n\r\n") else None
        place, end = line_end + 2, line_end + 2 + length
        if len(data) < end + 2:
            return None
        parts.append(data[place:end])
        place = end + 2
    return None


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
        self._right: bytes | None = None
        self._digest = 0
        self._socket: Any = None
        self.asked: float | None = None  # time.time(); None where nothing is under way
        self.answered = False  # once, at least
        self._prepare()

    def _prepare(self) -> None:
        host = "{}:{}".format(*self._address)
        cookies = b"; ".join(b"%s=%s" % cookie for cookie in self._cookies.items())
        self._request = f"GET {self._path} HTTP/1.1\r\nHost: {host}\r\n".encode()
        self._request += (b"Cookie: %s\r\n" % cookies if cookies else b"") + b"\r\n"

    @property
    def fd(self) -> int | None:
        """The socket's number; None where it has none."""
        return self._socket.fileno() if self._socket else None

    def close(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None

    def ask(self) -> None:
        """Send the request, on a new connection where the last was closed; else OSError."""
        self.asked = time.time()
        if not self._socket:
            self._socket = socket()
            self._socket.settimeout(TIMEOUT_S)
            self._socket.connect(self._address)
        self._socket.sendall(self._request)

    def read(self) -> list[Any] | None:
        """Read what has come: a sample as in LoadResult where that ends the answer.

        A connection that ends with it, or breaks, is closed.
        """
        try:
            data = self._socket.recv(MAX_RECEIVED)
        except OSError as reset:
            return self.broken(reset)
        self._received = received = self._received + data
        if received == self._right:
            return self._sample(200, None)
        try:
            answer = parsed(received, ended=not data)
        except ValueError:
            return self.broken("no right HTTP response")
        if answer is None:
            return None if data else self.broken("the connection was closed")
        self._digest = zlib.crc32(answer.body)
        who = answer.headers.get(b"x-deployment", b"").decode("latin-1")
        error = None
        if answer.status != 200:
            error = f"status {answer.status}"
        elif who != self._server:
            error = f"answered by {who!r} instead of {self._server!r}"
        if answer.cookies:
            self._cookies |= answer.cookies
            self._prepare()
        closes = not data or answer.headers.get(b"connection", b"").lower() == b"close"
        if closes:
            self.close()
        self._right = None if error or closes or answer.cookies else received
        return self._sample(answer.status, error)

    def broken(self, error: object) -> list[Any]:
        """Give the connection up; return the sample of a request that has no answer."""
        self.close()
        self._right, self._digest = None, 0
        return self._sample(0, getattr(error, "strerror", None) or str(error))

    def _sample(self, status: int, error: str | None) -> list[Any]:
        assert self.asked
        now, asked = time.time(), self.asked
        self._received, self.asked = b"", None
        self.answered = True
        return [asked, 1000 * (now - asked), status, self._digest, error]


class Users:
    """All users of a round, and the loop that serves them."""

    def __init__(self, order: Order) -> None:
        self.samples: list[list[Any]] = []
        self.stall = 0.0  # seconds, the longest in which the loop did not look
        self._poller = poll()
        self._by_fd: dict[int, User] = {}
        self._pausing: list[tuple[float, User]] = []  # until when (time.monotonic())
        self._all = [User(order) for _ in range(order.users)]
        for user in self._all:
            self._ask(user)
            self._watch(user, None)

    def serve(self, asks: bool, ends: Callable[[], bool], limit: float) -> None:
        """Read what comes until `ends()`, for `limit` seconds at most; ask on if `asks`."""
        looked = breathed = time.monotonic()
        deadline = looked + limit
        while looked < deadline and not ends():
            for fd, _ in self._poller.poll(WAIT_MS):
                user = self._by_fd[fd]
                if user.asked is None:  # the server closes a connection on which nobody waits
                    user.close()
                elif sample := user.read():
                    self.samples.append(sample)
                    if not sample[2]:
                        self._pause(user)
                    elif asks:
                        self._ask(user)
                if user.fd != fd:
                    self._watch(user, fd)
            now = time.monotonic()
            if now - breathed > BREATH_S:  # a worker's heartbeat
                gevent.sleep(0)
                breathed = now
            self.stall = max(self.stall, now - looked - WAIT_MS / 1000)
            looked = now
            while asks and self._pausing and self._pausing[0][0] <= now:
                _, user = self._pausing.pop(0)
                self._ask(user)
                self._watch(user, None)

    def _ask(self, user: User) -> None:
        """Let the user ask; one who cannot has a failed sample, and tries again later."""
        try:
            user.ask()
        except OSError as error:
            self.samples.append(user.broken(error))
            self._pause(user)

    def _pause(self, user: User) -> None:
        self._pausing.append((time.monotonic() + PAUSE_S, user))

    def _watch(self, user: User, before: int | None) -> None:
        """Look at the user's socket, and no more at the one before, which is closed."""
        if before is not None:
            self._poller.unregister(before)
            del self._by_fd[before]
        if user.fd is not None:
            self._poller.register(user.fd, POLLIN)
            self._by_fd[user.fd] = user

    def all_answered(self) -> bool:
        return all(user.answered for user in self._all)

    def under_way(self) -> list[User]:
        return [user for user in self._all if user.asked]

    def close(self) -> None:
        for user in self._all:
            user.close()


def run(order: Order, talk: Talk, at: float = 0) -> LoadResult:
    """Run one round: until each user has been answered, then the window, then the last answers.

    at: the window does not open before (time.time()).
    """
    users = Users(order)
    gc.disable()  # thousands of samples: a collection takes as long as some requests
    try:
        users.serve(True, users.all_answered, WARM_UP_TIMEOUT_S)
        if (early := at - time.time()) > 0:
            users.serve(True, lambda: time.time() >= at, early)
        # The window.
        users.stall = 0
        opened, cpu, before = time.time(), time.process_time(), len(users.samples)
        talk.emit("open", at=opened)
        users.serve(True, lambda: False, order.window)
        users.serve(
            True,
            lambda: talk.is_enough(len(users.samples) - before, order.min_answers),
            MAX_OVERTIME_S,
        )
        closed, cpu = time.time(), time.process_time() - cpu
        stall = users.stall
        talk.emit("close", at=closed)
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
