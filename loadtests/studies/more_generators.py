"""How much more several load generators can send: `python -m loadtests.studies.more_generators`.

Requests/s against a server that does nothing, as `compare` calibrates its load generators: of one
worker, of two, and so on, in turn, TURNS times; and how many times what the first does alone. Words
after it are COMMANDs of `--load-from`, a worker each; without any, one is started here for each
core. `--address` as for `compare`.
"""

from project import command, exit_status

if __name__ == "__main__":
    command.begin()

import argparse
from statistics import mean

import django
from rich.console import Console
from rich.table import Column, Table

django.setup()

from comparisons.cores import CORES  # noqa: E402
from loadtests.away import Place  # noqa: E402
from loadtests.judging.intervals import Interval, paired_ratio  # noqa: E402
from loadtests.running.generators import capacities, load_generators  # noqa: E402
from loadtests.running.workers import Crew  # noqa: E402
from project.ports import LOOPBACK  # noqa: E402

TURNS = 10
CONFIDENCE = 0.95


def measured(crew: Crew) -> list[list[float]]:
    """Return the requests/s of its first worker, of its first two, and so on: a turn each."""
    with load_generators(crew) as (generator,):
        parties = [generator.workers[: count + 1] for count in range(crew.size)]
        found = capacities(generator, crew.address, parties * TURNS)
    return [found[number :: crew.size] for number in range(crew.size)]


def growth(rates: list[list[float]]) -> list[Interval]:
    """Say how many times what the first does alone they send together, by turns."""
    return [paired_ratio(together, rates[0], CONFIDENCE) for together in rates]


def main() -> int:
    parser = argparse.ArgumentParser(description="What several load generators can send.")
    parser.add_argument("commands", nargs="*", metavar="COMMAND")
    parser.add_argument("--address", default=LOOPBACK, metavar="HOST")
    options = parser.parse_args()
    places = tuple(Place.of(command, None) for command in options.commands)
    crew = Crew(0 if places else max(2, CORES), places, options.address)
    rates = measured(crew)
    table = Table(*(Column(name, justify="right") for name in ("workers", "req/s", "times one's")))
    for number, (of, times) in enumerate(zip(rates, growth(rates), strict=True), 1):
        ratio = f"{times.mean:.2f} ({times.low:.2f} to {times.high:.2f})" if number > 1 else ""
        table.add_row(str(number), f"{mean(of):,.0f}", ratio)
    Console().print(table)
    print(f"{CORES} cores here: for the server that does nothing, the master and workers here")
    return exit_status.OK


if __name__ == "__main__":
    command.run(main)
