"""Ports for servers to listen on."""

import random
import socket
from itertools import cycle, islice

# Below the ports that the kernel gives to outgoing connections (from 32768 on Linux, from 49152 on
# macOS and in RFC 6335): from those, a client could take ours between our look and the server's.
CANDIDATES = range(20_000, 32_768)


_untried = cycle(random.sample(CANDIDATES, len(CANDIDATES)))


def free_port() -> int:
    """Find a port at which nobody listens on 127.0.0.1. Raises OSError if there is none.

    Each time another, because whoever was given the last may not listen yet.
    """
    for port in islice(_untried, len(CANDIDATES)):
        if not why_not_free(port):
            return port
    raise OSError("no free port")


def is_listening(port: int) -> bool:
    """Tell whether anybody listens at this port of 127.0.0.1, without being in anybody's way.

    `why_not_free` listens there itself for a moment, in which another could not.
    """
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def why_not_free(port: int) -> str:
    """Say why one cannot listen at this port of 127.0.0.1 ("Address already in use"), or ""."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()
        except OSError as error:
            return error.strerror or str(error)
    return ""
