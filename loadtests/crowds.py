"""What a crowd takes: thousands of requests that wait at once. And what of it a machine lacks.

A connection is an open file at each end, a port of the address that it comes from, memory in the
kernel, the server and the load generator, and where the machine tracks connections an entry there.
Until it is accepted it is one of the listening socket's backlog. On some servers it is a thread.
"""

import ipaddress
import os
import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from project.processes import raise_file_limit

OTHER_FILES = 200  # open files that a server, or a load generator, has besides one a connection
PROC = Path("/proc/sys")
CGROUP = Path("/sys/fs/cgroup")  # version 2, as a container sees its own
NO_LIMIT = 2**40
# kB of a request that waits, as measured: in the server (uvicorn, Django's request), in the load
# generator (a greenlet, locust's user), and in the kernel, for both ends. An estimate: of a thread.
SERVER_KB, WORKER_KB, KERNEL_KB, THREAD_KB = 20, 16, 10, 100
# As many come in a second at most, and so may wait to be accepted by a server that is busy.
ARRIVALS = 1_000


@dataclass(frozen=True)
class Limits:
    """What a machine allows, to whoever asks a server at one address."""

    files: int = NO_LIMIT  # of a process
    ports: int = NO_LIMIT  # of one source address
    addresses: int = NO_LIMIT  # from which the server can be reached
    memory_mb: int = NO_LIMIT  # that is free
    threads: int = NO_LIMIT  # of a process
    tracked: int = NO_LIMIT  # connections that the machine can yet track
    backlog: int = NO_LIMIT  # of a listening socket


def why_missing(
    users: int,
    workers: int = 1,
    threads: int = 0,
    *,
    serves: bool = True,
    processes: int = 1,
    limits: Limits | None = None,
) -> str:
    """Say in one line what so many requests that wait at once lack here; "" if nothing.

    workers: load generators here, who share the users; 0 where all are elsewhere. threads: that the
    requests hold on the server. serves: whether the server is here, too. processes: of the server,
    of which one may have a quarter more than its share.
    """
    limits = limits or limits_here()
    for what, needed, has, how in _needs(users, workers, threads, serves, processes, limits):
        if needed > has:
            return f"{users} users need {needed} {what} {has} {how}"
    return ""


def _needs(
    users: int, workers: int, threads: int, serves: bool, processes: int, limits: Limits
) -> Iterator[tuple[str, int, int, str]]:
    """Yield what is needed, how much of it, how much there is, and what to do about it."""
    of_worker = -(-users // workers) if workers else 0
    of_server = min(users, -(-users * 5 // (4 * processes))) if serves else 0
    share = max(of_worker, of_server)  # of the process that has most
    yield (
        f"open files, one each and {OTHER_FILES} besides; a process may have",
        *(share + OTHER_FILES, limits.files),
        "here (ulimit -Hn, which root may raise; docker run --ulimit nofile=N)",
    )
    if workers:
        yield (
            "ports to come from; there are",
            *(users, limits.ports * limits.addresses),
            f"here, {limits.ports} of each address, half of its range (sysctl "
            "net.ipv4.ip_local_port_range; or give the interface more addresses)",
        )
    yield (
        "connections that the firewall tracks; it has room for",
        *(users, limits.tracked),
        "(sysctl net.netfilter.nf_conntrack_max)",
    )
    if serves:
        yield (
            "threads on the server; it may have",
            *(threads, limits.threads),
            "here (ulimit -u, the container's pids limit, sysctl kernel.threads-max, "
            "kernel.pid_max and, of two maps each, vm.max_map_count)",
        )
        yield (
            "places for who has not been accepted yet; a server has",
            *(min(users, ARRIVALS), limits.backlog),
            "(sysctl net.core.somaxconn, net.ipv4.tcp_max_syn_backlog)",
        )
    ends = SERVER_KB * serves + WORKER_KB * bool(workers) + KERNEL_KB
    yield (
        "MB of memory; there are",
        *((users * ends + threads * THREAD_KB) // 1000, limits.memory_mb),
        "MB free here (end other programs, or serve and load from two machines)",
    )


def limits_here(server_host: str = "127.0.0.1") -> Limits:
    """Read what this machine, and this container, allows to whoever asks the server there."""
    addresses = _addresses_to(server_host)
    return Limits(
        files=most_files(),
        ports=ports(),
        addresses=NO_LIMIT if _is_all_ours(server_host) else len(addresses),
        memory_mb=_free_memory_mb(),
        threads=_most_threads(),
        tracked=_number("net/netfilter/nf_conntrack_max")
        - _number("net/netfilter/nf_conntrack_count", default=0),
        backlog=min(
            _number("net/core/somaxconn"),
            # With cookies, the kernel remembers nobody who has not been answered yet.
            NO_LIMIT
            if _number("net/ipv4/tcp_syncookies", default=1)
            else _number("net/ipv4/tcp_max_syn_backlog"),
        ),
    )


def most_files() -> int:
    """Return how many open files a process that we start may have; see `raise_file_limit`."""
    raise_file_limit()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return NO_LIMIT if limit == resource.RLIM_INFINITY else limit


def ports() -> int:
    """Return how many connections should come from one address to one server: half of its ports.

    Linux looks among those of one parity first, and only then among the others: then a connection
    takes it not 0.1 ms but 7 to 20 (measured with 6.18, on loopback).
    """
    text = _text(PROC / "net/ipv4/ip_local_port_range")
    if not text:
        return 16_384 // 2  # of what macOS has
    low, high = map(int, text.split())
    reserved = 0
    for part in filter(None, _text(PROC / "net/ipv4/ip_local_reserved_ports").split(",")):
        first, _, last = part.partition("-")
        reserved += max(0, min(high, int(last or first)) - max(low, int(first)) + 1)
    return (high - low + 1 - reserved) // 2


def source_addresses(server_host: str, users: int) -> list[str]:
    """Return the addresses of this machine from which so many users should come.

    None where the one that the kernel chooses has ports enough. Fewer than are needed where there
    are no more: see `why_missing`.
    """
    needed = -(-users // ports())
    if needed <= 1:
        return []
    if _is_all_ours(server_host):
        first = ipaddress.ip_address("127.0.0.1")
        return [str(first + number) for number in range(needed)]
    return _addresses_to(server_host)[:needed]


def _is_all_ours(server_host: str) -> bool:
    """Tell whether every address 127.x.y.z is this machine's, as on Linux, and leads there."""
    return sys.platform == "linux" and _own_address(server_host).startswith("127.")


def _own_address(server_host: str) -> str:
    """Return the address that the kernel would choose; "" if nothing leads there."""
    with suppress(OSError):
        family, *_, address = socket.getaddrinfo(server_host, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as nothing_is_sent:
            nothing_is_sent.connect(address)
            return str(nothing_is_sent.getsockname()[0])
    return ""


def _addresses_to(server_host: str) -> list[str]:
    """Return those of the interface that leads there, beginning with the kernel's own choice."""
    chosen = _own_address(server_host)
    for found in psutil.net_if_addrs().values():
        families = {one.address.partition("%")[0]: one.family for one in found}
        if chosen in families:
            same = [
                address
                for address, family in families.items()
                if family == families[chosen] and not address.startswith("fe80:")
            ]
            return [chosen, *(address for address in same if address != chosen)]
    return [chosen] if chosen else []


def _free_memory_mb() -> int:
    free = psutil.virtual_memory().available
    with suppress(ValueError):  # "", where there is none, and "max"
        most, used = (int(_text(CGROUP / f"memory.{name}")) for name in ("max", "current"))
        free = min(free, most - used)
    return int(free / 1e6)


def _most_threads() -> int:
    """Return how many threads a process may have; each takes two of the maps of its memory."""
    own = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    pids = _text(CGROUP / "pids.max")
    return min(
        NO_LIMIT if own == resource.RLIM_INFINITY or os.geteuid() == 0 else own,
        int(pids) if pids.isdigit() else NO_LIMIT,
        _number("kernel/threads-max"),
        _number("kernel/pid_max"),
        _number("vm/max_map_count") // 2,
    )


def _number(name: str, default: int = NO_LIMIT) -> int:
    text = _text(PROC / name)
    return int(text) if text.isdigit() else default


def _text(path: Path) -> str:
    """Return what the file says; "" where there is none, as on macOS."""
    with suppress(OSError):
        return path.read_text().strip()
    return ""
