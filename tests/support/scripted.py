"""A server whose every byte a test decides: it answers a request with what a function says."""

import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.support.clients import PATIENCE, until

WHO = "asgi-uvicorn 12345678"
BODY = b'{"ok": true}'


def response(body=BODY, *headers, status="200 OK", who=WHO):
    """A response with a length and the server's name. headers: lines as they are sent."""
    own = (f"X-Deployment: {who}", f"Content-Length: {len(body)}")
    return "\r\n".join([f"HTTP/1.1 {status}", *own, *headers, "", ""]).encode() + body


class Listener:
    """A server in the test's own thread, which does nothing by itself."""

    def __init__(self):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(PATIENCE)
        self._peers = []
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.url = f"http://{self.host}"

    def accept(self):
        connection, _ = self._socket.accept()
        self._peers.append(Peer(connection))
        return self._peers[-1]

    def close(self):
        for one in (self._socket, *self._peers):
            one.close()

    def end(self):
        """Accept nobody any more, where another thread waits for somebody."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Peer:
    """The server's end of a connection."""

    def __init__(self, connection):
        self._socket = connection
        self._socket.settimeout(PATIENCE)

    def request(self):
        data = self.request_or_end()
        assert data
        return data

    def request_or_end(self):
        """b"" if the client has closed the connection instead."""
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            part = self._socket.recv(2**16)
            if not part:
                assert not data
                return b""
            data += part
        return data

    def send(self, data):
        self._socket.sendall(data)

    def close(self):
        self._socket.close()

    def reset(self):
        """End it without the courtesy of a FIN."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self._socket.close()


@dataclass
class Scripted:
    """Answers on each connection in a thread of its own; a round's server.

    answer(connection, number): the bytes of the answer to the number-th request (from 1) on the
    connection-th connection (from 1); None ends the connection.
    """

    answer: object
    listener: socket.socket
    answered: list = field(default_factory=list)  # (connection, number), as they were answered
    _connections: list = field(default_factory=list)
    _threads: list = field(default_factory=list)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self):
        with suppress(OSError):  # it was closed
            while True:
                connection, _ = self.listener.accept()
                self._connections.append(connection)
                arguments = (connection, len(self._connections))
                thread = threading.Thread(target=self._converse, args=arguments)
                self._threads.append(thread)
                thread.start()

    def _converse(self, connection, place):
        number, data = 0, b""
        with connection, suppress(ConnectionError):
            while part := connection.recv(2**16):
                data += part
                if not data.endswith(b"\r\n\r\n"):
                    continue
                number, data = number + 1, b""
                if (said := self.answer(place, number)) is None:
                    return
                # Before it is sent: the client may act on it at once.
                self.answered.append((place, number))
                connection.sendall(said)

    def die(self):
        """Close everything at once."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self._connections:
            with suppress(OSError):  # it is closed
                connection.shutdown(socket.SHUT_RDWR)

    def is_left(self):
        """Whether its clients have closed every connection."""
        return not any(thread.is_alive() for thread in self._threads)


@contextmanager
def scripted(answer):
    """Serve for the block; its clients leave no connection open, or the test fails."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Scripted(answer, listener)
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield server
            until(server.is_left)
        finally:
            with suppress(OSError):  # it has died
                server.die()
            thread.join(PATIENCE)
