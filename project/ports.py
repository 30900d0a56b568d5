"""Ports for servers to listen on."""

import random
import socket
from itertools import cycle, islice

# Below the ports that the kernel gives to outgoing connections (from 32768 on Linux, from 49152 on
# macOS and in RFC 6335): from those, a client could take ours between our look and the server's.
CANDIDATES = range(20_000, 32_768)


LOOPBACK = "127.0.0.1"
_untried = cycle(random.sample(CANDIDATES, len(CANDIDATES)))


def free_port(address: str = LOOPBACK) -> int:
    """Find a port at which nobody listens on this address. Raises OSError if there is none.

    Each time another, because whoever was given the last may not listen yet.
    """
    for port in islice(_untried, len(CANDIDATES)):
        if not why_not_free(port, address):
            return port
    raise OSError("no free port")


def is_listening(port: int) -> bool:
    """Tell whether anybody listens at this port of 127.0.0.1, without being in anybody's way.

    `why_not_free` listens there itself for a moment, in which another could not.
    """
    with socket.socket() as client:
        return client.connect_ex((LOOPBACK, port)) == 0


def why_not_free(port: int, address: str = LOOPBACK) -> str:
    """Say why one cannot listen at this port of the address ("Address already in use"), or "".

    Port 0 asks for the address alone.
    """
    with socket.socket(family_of(address)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        try:
            listener.bind((address, port))
            listener.listen()
        except OSError as error:
            return error.strerror or str(error)
    return ""


def family_of(address: str) -> socket.AddressFamily:
    """Tell IPv6 addresses from IPv4 ones."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def host_of(address: str) -> str:
    """The address as URLs and Host headers have it."""
    return f"[{address}]" if ":" in address else address


def place(address: str, port: int) -> str:
    """HOST:PORT, as URLs and options have it."""
    return f"{host_of(address)}:{port}"
