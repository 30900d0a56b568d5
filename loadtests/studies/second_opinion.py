"""The same view on the same server, loaded by us and by wrk: do we agree?

`python -m loadtests.studies.second_opinion` needs wrk (Debian's package of that name). Exit status
0 when the two throughputs differ by at most 5 %, 1 when by more, 2 when it cannot be tried.
"""

from project import command, exit_status

if __name__ == "__main__":
    command.begin()

import re
import shutil
import subprocess
import sys

import django

django.setup()

from comparisons.pairs import COMPARISONS  # noqa: E402
from loadtests.running import servers  # noqa: E402
from loadtests.running.generators import load_generators, throughput_of  # noqa: E402
from loadtests.running.measuring import order_of  # noqa: E402
from loadtests.running.rows import rows_of  # noqa: E402
from loadtests.running.schedule import Plan  # noqa: E402
from project import services  # noqa: E402

SLUG, VARIANT = "blocking-call", "async_native"
# wrk counts whole answers from its start on, so the requests under way at its end are lost: half a
# wait of its time on average, which at 6 s and 100 ms is 1 %. We count in a window, and lose none.
OUR_SECONDS = 3
WRK_SECONDS = 6
MAX_DIFFERENCE = 0.05


def wrk(url: str, users: int) -> float:
    """Return the requests/s that wrk gets from as many connections as we have users."""
    load = ["--threads", "1", "--connections", str(users), "--duration", f"{WRK_SECONDS}s"]
    said = subprocess.run(["wrk", *load, url], capture_output=True, text=True, check=True).stdout
    return float(re.findall(r"Requests/sec:\s+([\d.]+)", said)[0])


def main() -> int:
    if not shutil.which("wrk"):
        print("wrk is not installed (Debian: apt-get install wrk)", file=sys.stderr)
        return exit_status.CANNOT_RUN
    rows = rows_of(COMPARISONS[SLUG], [], None)
    row = next(row for row in rows if row.variant.name == VARIANT)
    with (
        services.running(),
        load_generators() as generators,
        servers.serving([row.deployment]) as up,
    ):
        generator = generators[0]
        order = order_of(SLUG, row, up[0], Plan(OUR_SECONDS, looks=()))
        before = throughput_of(generator, order)
        wrk_rate = wrk(f"{up[0].url}/{SLUG}/{VARIANT}/", row.users)
        our_rate = (before + throughput_of(generator, order)) / 2
    difference = our_rate / wrk_rate - 1
    print(f"{SLUG}/{VARIANT}, {row.users} users, wrk {WRK_SECONDS} s between two rounds of ours:")
    print(f"locust {our_rate:.1f} requests/s, wrk {wrk_rate:.1f} requests/s, {difference:+.1%}")
    capacity = generator.capacity or 0
    print(
        f"({our_rate / capacity:.0%} of the load generator's capacity of {capacity:.0f} requests/s)"
    )
    agree = abs(difference) <= MAX_DIFFERENCE
    return exit_status.OK if agree else exit_status.REFUTED


if __name__ == "__main__":
    command.run(main)
