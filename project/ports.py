"""Ports for servers to listen on."""

import random
import socket

# Below the ports that the kernel gives to outgoing connections (from 32768 on Linux, from 49152 on
# macOS and in RFC 6335): from those, a client could take ours between our look and the server's.
CANDIDATES = range(20_000, 32_768)


def free_port() -> int:
    """A port at which nobody listens on 127.0.0.1. Raises OSError if there is none."""
    for port in random.sample(CANDIDATES, 1000):
        if not refusal(port):
            return port
    raise OSError("no free port")


def refusal(port: int) -> str:
    """Why one cannot listen at this port of 127.0.0.1 ("Address already in use"), or ""."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()
        except OSError as error:
            return error.strerror or str(error)
    return ""
