"""Where each line of a variant runs: `python -m loadtests.studies.traces [SLUG ...]`

Serves each variant as it is measured, but by one process, and asks it TIMES times; of these
requests it keeps the quickest, which was least disturbed. The pages show it
(comparisons/traces.json). Without SLUG it traces all comparisons.
"""

from project import command

if __name__ == "__main__":
    command.begin()

import contextlib
import http.client
import json
import platform
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

import django
from django.core.management.base import CommandError

django.setup()

from comparisons import traces  # noqa: E402
from comparisons.pairs import COMPARISONS  # noqa: E402
from comparisons.registry import Client, Comparison  # noqa: E402
from comparisons.traces import Run  # noqa: E402
from loadtests.running import servers  # noqa: E402
from loadtests.running.rows import Row, addresses, rows_of, why_unmeasurable  # noqa: E402
from loadtests.running.selection import known_slug  # noqa: E402
from project import exit_status, services  # noqa: E402
from project.machine import cpu_model  # noqa: E402
from project.services import distance, schema  # noqa: E402

WARMING, TIMES = 3, 5  # requests: imports and connecting are over; the quickest of so many
AT_ONCE = 4  # servers that run at the same time
ENDS_S = 5  # seconds that what a request has begun may go on after its answer
PIECES = 20  # of a body that is sent slowly

T = TypeVar("T")


@dataclass
class Visitor:
    """Asks one server, and keeps its cookies."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(self, path: str, client: Client | None = None) -> tuple[int, bytes]:
        """Return status and body; 0 where the client has left before them."""
        client = client or Client()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Cookie": "; ".join(f"{name}={text}" for name, text in self.cookies.items())}
        size = round(1_000_000 * client.body_mb)
        if size:
            headers["Content-Length"] = str(size)
        with contextlib.closing(connection):
            connection.request(client.method, path, body_of(client), headers)
            if client.leaves_after:
                time.sleep(client.leaves_after)
                return 0, b""
            response = connection.getresponse()
            for text in response.headers.get_all("Set-Cookie", []):
                name, _, value = text.partition(";")[0].partition("=")
                self.cookies[name] = value
            return response.status, response.read()

    def taken(self) -> dict[str, Any]:
        """Return what was noted since the last time, once all of it is over."""
        deadline = time.monotonic() + ENDS_S
        while json.loads(self.ask("/traced/open/")[1]) and time.monotonic() < deadline:
            time.sleep(0.01)
        found: dict[str, Any] = json.loads(self.ask("/traced/")[1])
        return found


def body_of(client: Client) -> Iterator[bytes] | None:
    """Make what a client posts, evenly in its time."""
    if not client.body_mb:
        return None
    piece = bytes(round(1_000_000 * client.body_mb) // PIECES)

    def pieces() -> Iterator[bytes]:
        for _ in range(PIECES):
            yield piece
            time.sleep(client.upload_s / PIECES)

    return pieces()


def traced(rows: Mapping[str, Row], run: Run) -> dict[str, Any]:
    """Return what traces.json has of these rows. Their keys, and its: `slug/variant`."""
    found = {}
    with contextlib.ExitStack() as stack:
        deployments, environs = [], []
        for number, (key, row) in enumerate(rows.items()):
            away = stack.enter_context(distance.at_distance(row.round_trip, addresses()))
            app = f"loadtests.studies.traced_app:{row.deployment.interface}"
            deployments.append(row.deployment.shaped(workers=1, app=app))
            environs.append(
                {
                    **row.server_environ(key.partition("/")[0], away, number),
                    "TRACED": row.variant.view.__module__,
                    "TRACED_APP": row.deployment.app,
                }
            )
        running = stack.enter_context(servers.serving(deployments, environs))
        for (key, row), server in zip(rows.items(), running, strict=True):
            took_s, taken = quickest(key, row, server.port)
            found[key] = traces.entry_of(row.variant, run, 1000 * took_s, taken)
    return found


def quickest(key: str, row: Row, port: int) -> tuple[float, dict[str, Any]]:
    """Return how many seconds the quickest request took, and what was noted of it."""
    visitor = Visitor(port)
    path, client = f"/{key}/", row.variant.client
    requests = []
    for number in range(WARMING + TIMES):
        began = time.perf_counter()
        visitor.ask(path, client)
        took = time.perf_counter() - began
        taken = visitor.taken()
        if number >= WARMING:
            requests.append((took, taken))
    return min(requests, key=lambda request: request[0])


def rows_to_trace(comparison: Comparison) -> dict[str, Row]:
    """Return each variant as it is measured, with the services furthest away (as `serve`)."""
    rows = sorted(rows_of(comparison, [], None), key=lambda row: row.round_trip)
    return {f"{comparison.slug}/{row.variant.name}": row for row in rows}


def all_traced(comparison: Comparison, run: Run) -> dict[str, Any]:
    """Trace what this machine can measure of a comparison, and say what it cannot."""
    found: dict[str, Any] = {}
    for rows in batched(rows_to_trace(comparison).items(), AT_ONCE):
        able = {}
        for key, row in rows:
            if why := why_unmeasurable(row):
                print(f"{key}: {why}", file=sys.stderr)
            else:
                able[key] = row
        found |= traced(able, run)
    return found


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """As itertools' own from Python 3.12 on."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def this_run() -> Run:
    return Run(cpu_model(), platform.python_version(), datetime.now(UTC).date())


def main() -> int:
    try:
        slugs = [known_slug(slug) for slug in sys.argv[1:]] or list(COMPARISONS)
    except CommandError as error:
        print(error, file=sys.stderr)
        return exit_status.CANNOT_RUN
    run = this_run()
    with services.running():
        schema.ensure()
        for slug in slugs:
            found = all_traced(COMPARISONS[slug], run)
            traces.keep(slug, found)
            print(f"{slug}: {len(found)} traced", flush=True)
    return 0


if __name__ == "__main__":
    command.run(main)
