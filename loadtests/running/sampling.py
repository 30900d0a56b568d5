"""What a server uses while the window is open, and what others took of the machine meanwhile."""

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg

from loadtests.running import servers
from loadtests.running.backends import Backends, Counts
from loadtests.running.sockets import Sockets
from project.services.service import ServiceError

SAMPLING_S = 0.1  # between two looks at a server
# Linux makes the id of a process's CPU clock of its pid: clock_getcpuclockid(3), which Python lacks
# for processes.
CPU_CLOCKS, CPUCLOCK_SCHED = sys.platform == "linux", 2
CGROUP_CPU = Path("/sys/fs/cgroup/cpu.stat")  # version 2, as a container sees its own


# --- Its processes


@dataclass(frozen=True)
class Usage:
    """Of a process tree, now. memory_mb: PSS where the kernel tells it, else RSS.

    cpu_of: seconds of each process, by its id.
    """

    processes: int
    threads: int
    cpu_seconds: float
    memory_mb: float
    cpu_of: Mapping[int, float] = field(default_factory=dict)


def usage(server: servers.Running) -> Usage:
    """Sum up what the server's process tree uses; zeros once it is dead."""
    threads, memory, cpu_of = 0, 0.0, {}
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(server.process.pid)
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess), process.oneshot():
                cpu, count, size = cpu_seconds(process), process.num_threads(), _memory(process)
                cpu_of[process.pid] = cpu
                threads += count
                memory += size
    return Usage(len(cpu_of), threads, sum(cpu_of.values()), memory / 1e6, cpu_of)


def busiest_worker(used: Sequence[Usage], workers: int) -> float | None:
    """Return the CPU time of the busiest worker from the first look to the last, in averages.

    1 is an even load, and `workers` all of it on one. The workers are those processes that took
    most: a main process takes next to nothing. None if none took any.
    """
    before, after = used[0].cpu_of, used[-1].cpu_of
    took = sorted((cpu - before.get(pid, 0.0) for pid, cpu in after.items()), reverse=True)
    average = sum(took[:workers]) / workers
    return took[0] / average if average > 0 else None


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time of all its threads, and of children that it has waited for.

    By the process's CPU clock, to the nanosecond: psutil's times come in ticks of 10 ms, of which a
    window has a few dozen. Where there is no such clock (macOS), and for the children, by those.
    """
    times = process.cpu_times()
    own = times.user + times.system
    if CPU_CLOCKS:
        with suppress(OSError):
            own = time.clock_gettime((~process.pid << 3) | CPUCLOCK_SCHED)
    return float(own + times.children_user + times.children_system)


def _memory(process: psutil.Process) -> float:
    full = process.memory_full_info()
    return float(getattr(full, "pss", 0) or full.rss)


class Looks:
    """What a server uses, looked at when the window opens, every SAMPLING_S, and at its end.

    backends: None for somebody else's server, at which nobody can look.
    upstream: whether to ask the upstream too, how many calls of the server it is busy with.
    late: seconds, the longest for which this process did not look though it should have.
    silence: seconds, the longest for which PostgreSQL did not tell the server's connections.
    """

    def __init__(
        self,
        server: servers.Running,
        backends: Backends | Sockets | None,
        opened: float,
        upstream: bool = False,
    ) -> None:
        self.late = time.time() - opened
        self.silence = 0.0
        self.used = [] if backends is None else [usage(server)]
        self.counts: list[Counts] = []
        self.upstream_calls: list[int] = []
        self.broken: list[str] = []
        self._server, self._backends, self._upstream = server, backends, upstream
        self._looked = time.monotonic()

    def look(self) -> None:
        silence = 0.0
        if self._backends is not None:
            self.used.append(usage(self._server))
            try:
                counts, silence = self._backends.of(self._server)
                self.counts.append(counts)
            except psycopg.OperationalError:
                self.broken = ["PostgreSQL was away"]
        if self._upstream:
            self.upstream_calls.append(calls_under_way(self._server))
        now = time.monotonic()
        self.late = max(self.late, now - self._looked - SAMPLING_S - silence)
        self.silence = max(self.silence, silence)
        self._looked = now

    def end_connections(self) -> None:
        """End the server's connections to Postgres that are idle."""
        assert isinstance(self._backends, Backends)
        try:
            self._backends.end_idle(self._server.name)
        except psycopg.OperationalError:
            self.broken = ["PostgreSQL was away"]

    def end(self, closed: float) -> None:
        self.late = max(self.late, time.time() - closed)
        self.look()


def calls_under_way(server: servers.Running) -> int:
    """Ask the upstream how many calls of the server it is busy with. ServiceError if it is away."""
    url = f"{os.environ['UPSTREAM_URL']}/under-way/{server.nonce}"
    try:
        with servers.direct.open(url, timeout=5) as response:
            return int(json.load(response)["under_way"])
    except (OSError, ValueError, KeyError) as error:
        raise ServiceError(f"the upstream does not tell what it is busy with: {error}") from None


# --- Its pools


def pool_counters(server: servers.Running, *, collect: bool = False) -> Mapping[str, int] | None:
    """Ask the server what its pools have counted; None where it has not one process, of ours.

    collect: it is to collect its garbage first.
    """
    if server.deployment.workers != 1 or server.death():
        return None
    url = f"{server.own_url}pools/{'?collect' if collect else ''}"
    with suppress(OSError), servers.direct.open(url, timeout=5) as response:
        counters: dict[str, int] = json.load(response)
        return counters
    return None


def pool_wait_ms(before: Mapping[str, int] | None, after: Mapping[str, int] | None) -> float | None:
    """Return how long a request for a connection waited in between, on average; or None."""
    if before is None or after is None:
        return None
    requests = after["requests_num"] - before["requests_num"]
    waited = after["requests_wait_ms"] - before["requests_wait_ms"]
    return waited / requests if requests else None


# --- The machine


def stolen_share(before: Any, after: Any) -> float:
    """Return the share of CPU time that the hypervisor gave to others; 0 where it does not tell."""
    total = sum(after) - sum(before)
    return float((getattr(after, "steal", 0) - getattr(before, "steal", 0)) / total) if total else 0


def throttled_s(stat: Path = CGROUP_CPU) -> float:
    """Return the seconds for which a container's quota has held its processes back, or 0."""
    with suppress(OSError):
        for line in stat.read_text().splitlines():
            name, _, microseconds = line.partition(" ")
            if name == "throttled_usec":
                return int(microseconds) / 1e6
    return 0
