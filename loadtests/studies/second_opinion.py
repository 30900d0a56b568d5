"""The same view on the same server, loaded by us and by wrk: do we agree?

`python -m loadtests.studies.second_opinion` needs wrk (Debian's package of that name). Exit status
0 when the two throughputs differ by at most 5 %, 1 when by more, 2 when it can't be tried.
"""

from project import command

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
from loadtests.running.measuring import load_generator, throughput_of  # noqa: E402
from loadtests.running.selection import rows_of  # noqa: E402
from project import services  # noqa: E402

SLUG, VARIANT = "blocking-call", "async_native"
# wrk counts whole answers from its start on, so the requests under way at its end are lost: half a
# wait of its time on average, which at 6 s and 100 ms is 1 %. We count in a window, and lose none.
OUR_SECONDS, THEIR_SECONDS, AGREEMENT = 3, 6, 0.05


def wrk(url: str, users: int) -> float:
    """Requests/s that wrk gets from as many connections as we have users."""
    load = ["--threads", "1", "--connections", str(users), "--duration", f"{THEIR_SECONDS}s"]
    said = subprocess.run(["wrk", *load, url], capture_output=True, text=True, check=True).stdout
    return float(re.findall(r"Requests/sec:\s+([\d.]+)", said)[0])


def main() -> int:
    if not shutil.which("wrk"):
        print("wrk is not installed (Debian: apt-get install wrk)", file=sys.stderr)
        return 2
    rows = rows_of(COMPARISONS[SLUG], [], None)
    row = next(row for row in rows if row.variant.name == VARIANT)
    with services.running(), load_generator() as generator, servers.serving([row.deployment]) as up:
        before = throughput_of(generator, SLUG, row, up[0], OUR_SECONDS)
        them = wrk(f"{up[0].url}/{SLUG}/{VARIANT}/", row.users)
        us = (before + throughput_of(generator, SLUG, row, up[0], OUR_SECONDS)) / 2
    difference = us / them - 1
    print(f"{SLUG}/{VARIANT}, {row.users} users, wrk {THEIR_SECONDS} s between two rounds of ours:")
    print(f"locust {us:.1f} requests/s, wrk {them:.1f} requests/s, difference {difference:+.1%}")
    capacity = generator.capacity or 0
    print(f"({us / capacity:.0%} of the load generator's capacity of {capacity:.0f} requests/s)")
    return 0 if abs(difference) <= AGREEMENT else 1


if __name__ == "__main__":
    command.run(main)
