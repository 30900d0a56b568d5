"""Time to the first byte of `streaming-response`: `python -m loadtests.studies.first_byte`.

All variants up at once, asked in turn and in random order by one client, who reads everything.
"""

from project import command

if __name__ == "__main__":
    command.begin()

import http.client
import random
import time
from statistics import median

import django
from rich.console import Console
from rich.table import Table

django.setup()

from comparisons.pairs import streaming_response  # noqa: E402
from loadtests.running import servers  # noqa: E402
from loadtests.running.rows import rows_of  # noqa: E402
from project import services  # noqa: E402
from project.services import schema  # noqa: E402

TURNS = 15


def get(port: int, path: str) -> tuple[float, float]:
    """Milliseconds to the first byte of the body, and to its last."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    start = time.perf_counter()
    connection.request("GET", path)
    response = connection.getresponse()
    response.read(1)
    first = time.perf_counter()
    response.read()
    last = time.perf_counter()
    connection.close()
    return 1000 * (first - start), 1000 * (last - start)


def main() -> None:
    comparison = streaming_response.comparison
    rows = rows_of(comparison, [], None)
    taken: dict[str, list[tuple[float, float]]] = {row.variant.name: [] for row in rows}
    with services.running():
        schema.ensure()
        with servers.serving([row.deployment for row in rows]) as running:
            asked = list(zip(rows, running, strict=True))
            for turn in range(TURNS + 1):
                for row, server in random.sample(asked, len(asked)):
                    path = f"/{comparison.slug}/{row.variant.name}/"
                    times = get(server.port, path)
                    if turn:  # the first call imports and connects
                        taken[row.variant.name].append(times)
    table = Table("variant", "first byte, ms", "last byte, ms")
    for name, turns in taken.items():
        first, last = (median(column) for column in zip(*turns, strict=True))
        table.add_row(name, f"{first:.1f}", f"{last:.1f}")
    Console().print(table)


if __name__ == "__main__":
    command.run(main)
