"""Is A/A steadier on pinned cores? `python -m loadtests.studies.pinning [SLUG ...]`

Runs `compare --null --quick` TIMES times without and with `--pin`, in turn. For each way it prints
how far apart two rounds of one block are that measured the same view (|A / A - 1|), and for each
variant what pinning changes: the median throughput with it, divided by that without.
"""

from project import command

if __name__ == "__main__":
    command.begin()

import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from statistics import median, quantiles

from comparisons import result_store
from loadtests.judging import metrics
from loadtests.judging.rounds import AGAIN, Round

TIMES = 4
SLUGS = ("cpu-bound", "thread-hops")
WAYS = {"free": [], "pinned": ["--pin"]}


def measured(slugs: list[str], options: list[str], output: Path) -> list[Round]:
    words = [sys.executable, "manage.py", "compare", "--null", "--quick", *options]
    words += ["--output", str(output), *slugs]
    done = command.run_child(words, stdout=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(done.returncode)
    rounds, _why_missing = result_store.read_samples(output, Round.from_row)
    return rounds


def differences(run: Iterable[Round]) -> list[float]:
    """Return |A / A - 1| of each block's pair of rounds, of their throughputs."""
    pairs = defaultdict(list)
    for round_ in run:
        view = round_.variant.removesuffix(AGAIN)
        pairs[round_.comparison, view, round_.block].append(metrics.throughput(round_))
    return [abs(pair[0] / pair[1] - 1) for pair in pairs.values() if len(pair) == 2 and all(pair)]


def throughputs(run: Iterable[Round]) -> dict[tuple[str, str], float]:
    """Return the median of each variant, in requests/s."""
    found = defaultdict(list)
    for round_ in run:
        name = round_.comparison, round_.variant.removesuffix(AGAIN)
        found[name].append(metrics.throughput(round_))
    return {variant: median(rates) for variant, rates in found.items()}


def main() -> int:
    slugs = sys.argv[1:] or list(SLUGS)
    runs: dict[str, list[Round]] = {way: [] for way in WAYS}
    apart: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        for number, way in product(range(TIMES), WAYS):
            run = measured(slugs, WAYS[way], Path(folder, f"{way}-{number}.json"))
            runs[way] += run
            apart[way] += differences(run)
            print(f"run {number + 1} of {TIMES}, {way}", file=sys.stderr)
    for way, found in apart.items():
        low, middle, high = (f"{100 * part:.1f}" for part in quantiles(found))
        steal = max(round_.steal for round_ in runs[way])
        print(
            f"{way}: median |A/A - 1| {middle} % (quartiles {low} and {high} %; {len(found)} pairs;"
            f" steal at most {steal:.0%})"
        )
    free, pinned = (throughputs(runs[way]) for way in WAYS)
    for variant, rate in free.items():
        print(
            f"{'/'.join(variant)}: {rate:.0f} requests/s free, {pinned[variant]:.0f} pinned, "
            f"a factor of {pinned[variant] / rate:.2f}"
        )
    return 0


if __name__ == "__main__":
    command.run(main)
