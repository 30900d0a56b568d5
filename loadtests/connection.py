"""A connection with gevent and little else, for users of whom there are thousands.

Locust's own client takes twice the memory and CPU time: it keeps pools, cookies and prepared
requests, which who asks once needs not.
"""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import gevent.socket
import gevent.ssl

from loadtests.raw import parsed

MAX_RECEIVED = 2**16
# The port is chosen when it is known where to, so that it need be free for that server only.
# <linux/in.h> has it, and Python from 3.12 on.
IP_BIND_ADDRESS_NO_PORT = 24


@dataclass(frozen=True)
class Answer:
    """What listeners of locust's event look at, named as in its own responses."""

    status_code: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    first_byte_at: float | None = None  # time.time(); of the body
    closes: bool = False  # the server ends the connection


NO_ANSWER = Answer(0, closes=True)


class Connection:
    """One to the server at this URL, from this address of ours. OSError if there is none."""

    def __init__(self, url: str, source: str = "") -> None:
        family, address, self._name, encrypted = _server(url)
        self._socket: Any = gevent.socket.socket(family, gevent.socket.SOCK_STREAM)
        try:
            if source:
                if sys.platform == "linux":
                    level = gevent.socket.IPPROTO_IP  # of IPv6, too
                    self._socket.setsockopt(level, IP_BIND_ADDRESS_NO_PORT, 1)
                self._socket.bind((source, 0))
            self._socket.connect(address)
            if encrypted:
                self._socket = _trusting().wrap_socket(self._socket)
        except BaseException:
            self._socket.close()
            raise

    def get(self, path: str) -> Answer:
        """Send a GET and wait for the answer, however long that takes.

        OSError if the connection ends before, ValueError if no HTTP comes.
        """
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: {self._name}\r\n\r\n".encode())
        received, first_byte_at = b"", None
        while True:
            data = self._socket.recv(MAX_RECEIVED)
            received += data
            if not first_byte_at and received.partition(b"\r\n\r\n")[2]:
                first_byte_at = time.time()
            if found := parsed(received, ended=not data):
                break
            if not data:
                raise ConnectionError("the connection was closed")
        headers = {
            name.decode("latin-1").title(): value.decode("latin-1")
            for name, value in found.headers.items()
        }
        closes = not data or headers.get("Connection", "").lower() == "close"
        return Answer(found.status, headers, found.body, first_byte_at, closes)

    def close(self) -> None:
        self._socket.close()


@cache
def _server(url: str) -> tuple[int, Any, str, bool]:
    """Return its family and address, what is said in `Host`, and whether it is encrypted."""
    parts = urlsplit(url)
    encrypted = parts.scheme == "https"
    port = parts.port or (443 if encrypted else 80)
    found = gevent.socket.getaddrinfo(parts.hostname, port, type=gevent.socket.SOCK_STREAM)
    family, *_, address = found[0]
    return family, address, parts.netloc.rpartition("@")[2], encrypted


@cache
def _trusting() -> Any:
    """Who loads a server need not know whose it is: locust's client does not look either."""
    return gevent.ssl._create_unverified_context()
