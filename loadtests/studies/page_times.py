"""How long the pages take: `python -m loadtests.studies.page_times`.

Each page with the results that are there, from a warm wsgi-threads, asked for by one client: ms to
the end of its text, without the pictures, which a browser loads after it.
"""

from project import command

if __name__ == "__main__":
    command.begin()

import http.client
import time
from statistics import median

import django
from rich.console import Console
from rich.table import Table

django.setup()

from comparisons.pairs import COMPARISONS  # noqa: E402
from loadtests.running import servers  # noqa: E402
from project import services  # noqa: E402
from project.deployments import DEPLOYMENTS  # noqa: E402
from project.services import schema  # noqa: E402

TURNS = 5
PAGES = ["/", "/history/", "/changes/", *(f"/{slug}/" for slug in COMPARISONS)]


def get_ms(connection: http.client.HTTPConnection, path: str) -> tuple[float, int]:
    """Milliseconds to the last byte of the answer, and its size."""
    start = time.perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{path}: {answer.status}")
    return 1000 * (time.perf_counter() - start), len(body)


def main() -> None:
    table = Table("page", "median, ms", "longest, ms", "kB")
    with services.running():
        schema.ensure()
        with servers.serving([DEPLOYMENTS["wsgi-threads"]]) as (server,):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            found = []
            for path in PAGES:
                get_ms(connection, path)  # warm
                turns = [get_ms(connection, path) for _ in range(TURNS)]
                times = [taken for taken, _ in turns]
                found.append((median(times), max(times), turns[0][1], path))
    for middle, longest, size, path in sorted(found, reverse=True)[:10]:
        table.add_row(path, f"{middle:.0f}", f"{longest:.0f}", f"{size / 1000:.0f}")
    Console().print(table)
    print(f"the slowest of {len(found)} pages; of all: {median(m for m, *_ in found):.0f} ms")


if __name__ == "__main__":
    command.run(main)
