"""The best batch of a server-side cursor, near and far: `python -m loadtests.studies.batch_sizes`.

A server for each batch size and distance, all up at once; a client who asks one after another, in
turn and in random order; beside it a bystander. Small batches read fewer rows, so that every
request ends within seconds: it is the rate of rows that is compared.
"""

from project import command

if __name__ == "__main__":
    command.begin()

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import median

from rich.console import Console
from rich.progress import track
from rich.table import Table

from loadtests.running import servers
from loadtests.running.sampling import usage
from project import services
from project.deployments import DEPLOYMENTS
from project.services import schema
from project.services.distance import at_distance

ROUND_TRIPS = (0, 1, 5)  # ms
BATCHES = (1, 10, 100, 1_000, 2_000, 10_000)
MAX_ROWS, MAX_BATCHES = 20_000, 200
TURNS = 5
PATH = "/batch-size/async_2000/"  # rows and batch come from the environment


def rows_of(batch: int) -> int:
    return min(MAX_ROWS, MAX_BATCHES * batch)


def get(url: str) -> float:
    """Return how many seconds a request takes."""
    start = time.perf_counter()
    with servers.direct.open(url, timeout=60) as response:
        response.read()
    return time.perf_counter() - start


@contextmanager
def bystander(url: str) -> Iterator[list[float]]:
    """Call as a bystander while the block runs; yields the seconds that each call takes."""
    taken: list[float] = []
    stop = threading.Event()

    def call() -> None:
        while not stop.wait(0.002):
            taken.append(get(f"{url}/bystander/"))

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield taken
    finally:
        stop.set()
        thread.join()


def main() -> None:
    deployment = DEPLOYMENTS["asgi-uvicorn"]
    configurations = [(trip, batch) for trip in ROUND_TRIPS for batch in BATCHES]
    found: dict[tuple[int, int], list[tuple[float, float]]] = {
        configuration: [] for configuration in configurations
    }
    with services.running(), ExitStack() as stack:
        schema.ensure()
        addresses = {s.variable: os.environ[s.variable] for s in services.SERVICES}
        seen = {trip: stack.enter_context(at_distance(trip, addresses)) for trip in ROUND_TRIPS}
        environs = [
            seen[trip] | {"CURSOR_BATCH": str(batch), "CURSOR_ROWS": str(rows_of(batch))}
            for trip, batch in configurations
        ]
        running = stack.enter_context(servers.serving([deployment] * len(environs), environs))
        up = dict(zip(configurations, running, strict=True))
        idle = {of: usage(server).memory_mb for of, server in up.items()}
        for server in running:
            get(server.url + PATH)
        for _turn in track(range(TURNS), "batch sizes", transient=True):
            for configuration in random.sample(configurations, len(configurations)):
                url = up[configuration].url
                with bystander(url) as taken:
                    whole = get(url + PATH)
                found[configuration].append((whole, max(taken, default=0)))
        # Memory that Python has had it keeps: after all turns it is what the dearest needed.
        grown = {of: usage(server).memory_mb - idle[of] for of, server in up.items()}
    table = Table("ms away", "rows a batch", "rows/s", "longest bystander, ms", "grown by, MB")
    for (trip, batch), turns in found.items():
        whole, longest = (median(column) for column in zip(*turns, strict=True))
        rate = rows_of(batch) / whole
        table.add_row(
            f"{trip:g}",
            f"{batch:,}",
            f"{rate:,.0f}",
            f"{1000 * longest:.1f}",
            f"{grown[trip, batch]:.1f}",
        )
    Console().print(table)


if __name__ == "__main__":
    command.run(main)
