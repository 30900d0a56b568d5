"""A server's connections to databases that are none of ours, by its sockets: nobody asks those."""

import os
import socket
import struct
import sys
from collections.abc import Collection, Iterator
from contextlib import suppress

import psutil

from loadtests.running.backends import Counts
from loadtests.running.servers import Running

# Where a database listens: host and port, or the path of a Unix socket or of the folder that has it
Address = tuple[str, int] | str

PORTS = {"postgresql": 5432, "postgis": 5432, "mysql": 3306, "oracle": 1521}
# Where clients look that are told no host: Debian's and Red Hat's places, and the programs' own.
POSTGRES_FOLDERS = ("/var/run/postgresql", "/run/postgresql", "/tmp")
MYSQL_SOCKETS = ("/var/run/mysqld/mysqld.sock", "/run/mysqld/mysqld.sock", "/tmp/mysql.sock")

# linux/netlink.h, linux/sock_diag.h and linux/unix_diag.h
SOCK_DIAG, BY_FAMILY, DUMP_REQUEST, ERROR, DONE = 4, 20, 0x301, 2, 3
SHOW_NAME, SHOW_PEER, NAME, PEER = 1, 4, 0, 2
HEADER, MESSAGE, ATTRIBUTE = (
    struct.Struct("=IHHII"),
    struct.Struct("=BBBBIII"),
    struct.Struct("=HH"),
)


def addresses_of(engine: str, host: str, port: str | int | None) -> set[Address]:
    """Say where the database of such an entry of Django's DATABASES listens; SQLite nowhere."""
    kind = engine.rpartition(".")[2]
    if kind not in PORTS:
        return {(host, int(port))} if host and port else set()
    if host.startswith("/"):
        return {host}
    if not host:
        local = {"mysql": MYSQL_SOCKETS}.get(kind, POSTGRES_FOLDERS if PORTS[kind] == 5432 else ())
        return {*local}
    return {(host, int(port or PORTS[kind]))}


class Sockets:
    """Counts those of a server that are established, in place of Backends."""

    def __init__(self, databases: Collection[Address]) -> None:
        self._paths = {os.path.realpath(place) for place in databases if isinstance(place, str)}
        self._peers = {
            (address, place[1])
            for place in databases
            if not isinstance(place, str)
            for address in _resolved(place[0])
        }

    def of(self, server: Running) -> tuple[Counts, float]:
        """Return how many there are; nobody was asked who could have been silent."""
        connected: set[object] = set()  # processes share what they have inherited
        if self._peers or self._paths:
            names = _unix_peers() if self._paths else {}
            for process in _tree(server):
                with suppress(psutil.Error, OSError):
                    if self._peers:
                        connected.update(self._over_tcp(process))
                    if names:
                        connected.update(
                            inode for inode in _inodes(process) if self._is_here(names.get(inode))
                        )
        return Counts(connections=len(connected)), 0.0

    def _over_tcp(self, process: psutil.Process) -> Iterator[tuple[object, object]]:
        for connection in process.net_connections("tcp"):
            if connection.status == psutil.CONN_ESTABLISHED and connection.raddr:
                host, port = connection.raddr[:2]
                if (host.removeprefix("::ffff:"), port) in self._peers:
                    yield connection.laddr, connection.raddr

    def _is_here(self, name: str | None) -> bool:
        if not name:
            return False
        path = os.path.realpath(name)
        return path in self._paths or os.path.dirname(path) in self._paths


def _resolved(host: str) -> set[str]:
    with suppress(OSError, UnicodeError):
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    return {host}


def _tree(server: Running) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(server.process.pid)
        return [root, *root.children(recursive=True)]
    return []


def _inodes(process: psutil.Process) -> Iterator[int]:
    """Yield those of the process's sockets."""
    folder = f"/proc/{process.pid}/fd"
    for name in os.listdir(folder):
        with suppress(OSError):
            target = os.readlink(f"{folder}/{name}")
            if target.startswith("socket:["):
                yield int(target[8:-1])


def _unix_peers() -> dict[int, str]:
    """Return, by the inode of each connected Unix socket, the path of what it is connected to.

    As `ss -x` does: of a client's socket /proc says nothing. Empty where the kernel does not tell.
    """
    names: dict[int, str] = {}
    peers: dict[int, int] = {}
    if sys.platform == "linux":
        with suppress(OSError):
            for inode, attribute, value in _unix_diag():
                if attribute == PEER:
                    peers[inode] = int.from_bytes(value[:4], sys.byteorder)
                elif attribute == NAME:
                    names[inode] = value.rstrip(b"\0").decode(errors="replace")
    return {inode: names[peer] for inode, peer in peers.items() if peer in names}


def _unix_diag() -> Iterator[tuple[int, int, bytes]]:
    """Yield inode, attribute and its value of every Unix socket of this machine."""
    every = 2**32 - 1
    show = SHOW_NAME | SHOW_PEER
    ask = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, every, 0, show, every, every)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, SOCK_DIAG) as kernel:
        kernel.settimeout(1)
        kernel.send(HEADER.pack(HEADER.size + len(ask), BY_FAMILY, DUMP_REQUEST, 1, 0) + ask)
        while True:
            data = kernel.recv(2**16)
            while data:
                length, kind, *_ = HEADER.unpack_from(data)
                if kind in (ERROR, DONE):
                    return
                message, data = data[HEADER.size : length], data[_aligned(length) :]
                inode = MESSAGE.unpack_from(message)[4]
                place = MESSAGE.size
                while place < len(message):
                    size, attribute = ATTRIBUTE.unpack_from(message, place)
                    yield inode, attribute, message[place + ATTRIBUTE.size : place + size]
                    place += _aligned(size)


def _aligned(size: int) -> int:
    return (size + 3) & ~3
