"""The machines of a run, and how far they are from each other: `hosts` of a result's environment.

A round trip is the shortest of a few connects over TCP, in ms: what the network takes, and nothing
of what listens there.
"""

import os
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Literal
from urllib.parse import urlsplit

from project import services
from project.machine import this_machine
from project.services.service import Service

CONNECTS = 5
TIMEOUT_S = 5  # of one
DATABASES = ("DATABASE_URL", "REDIS_URL")

Role = Literal["servers", "load generator", "database"]


def round_trip_ms(address: str, port: int) -> float:
    """Measure it. OSError if one cannot connect."""
    took = []
    for _ in range(CONNECTS):
        began = time.perf_counter()
        socket.create_connection((address, port), TIMEOUT_S).close()
        took.append(1000 * (time.perf_counter() - began))
    return round(min(took), 3)


def host(
    role: Role,
    name: str,
    address: str | None = None,
    round_trip_ms: float | None = None,
    known: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Describe one. name: as the reader calls it. known: what is known of the machine itself."""
    known = known or {}
    return {
        "name": name,
        "role": role,
        "address": address,
        **{what: known.get(what) for what in ("hostname", "cpu_model", "cpu_count")},
        "round_trip_ms": round_trip_ms,
    }


def hosts(address: str, workers: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Describe this machine, whose servers listen at the address, and those that it works with."""
    here = this_machine()
    loading: dict[str, dict[str, Any]] = {}
    for worker in workers:
        name = "here" if worker["name"].startswith("here-") else worker["name"]
        trip = worker["round_trip_ms"]
        loading.setdefault(name, host("load generator", name, None, trip, worker))
    return [
        host("servers", here["hostname"], address, None, here),
        *loading.values(),
        *(_database(service) for service in services.SERVICES if service.variable in DATABASES),
    ]


def _database(service: Service) -> dict[str, Any]:
    """Describe where it is, from this machine; a Unix socket has no address."""
    with suppress(OSError, ValueError):
        parts = urlsplit(os.environ[service.variable])
        if parts.hostname:
            trip = round_trip_ms(parts.hostname, parts.port or service.port)
            return host("database", service.name, parts.hostname, trip)
    return host("database", service.name)
