"""How much more several load generators can send: `python -m loadtests.studies.more_generators`.

Of 1, 2, ... workers, what each can do alone and what they do together against a server that does
nothing, as `compare` calibrates them. Words after it are COMMANDs of `--load-from`, a worker each;
without any they are started here, one for each core. `--address` as for `compare`.
"""

from project import command, exit_status

if __name__ == "__main__":
    command.begin()

import argparse

import django
from rich.console import Console
from rich.table import Column, Table

django.setup()

from comparisons.cores import CORES  # noqa: E402
from loadtests.away import Place  # noqa: E402
from loadtests.running.generators import load_generators  # noqa: E402
from loadtests.running.workers import Crew  # noqa: E402
from project.ports import LOOPBACK  # noqa: E402


def crews(commands: list[str], address: str) -> list[Crew]:
    """Return one worker, two, and so on."""
    places = tuple(Place.of(command, None) for command in commands)
    if places:
        return [Crew(0, places[:count], address) for count in range(1, len(places) + 1)]
    return [Crew(count) for count in range(1, max(2, CORES) + 1)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("commands", nargs="*", metavar="COMMAND")
    parser.add_argument("--address", default=LOOPBACK, metavar="HOST")
    options = parser.parse_args()
    right = {"justify": "right"}
    table = Table(
        *(Column(name, **right) for name in ("workers", "alone req/s", "together", "times one's")),  # type: ignore[arg-type]
        box=None,
    )
    one = 0.0
    for crew in crews(options.commands, options.address):
        with load_generators(crew) as (generator,):
            alone = " ".join(str(worker["capacity"]) for worker in generator.workers)
            together = generator.capacity or 0
        one = one or together
        table.add_row(str(crew.size), alone, f"{together:.0f}", f"{together / one:.2f}")
    Console().print(table)
    print(f"{CORES} cores here, for the server that does nothing, the master and workers here")
    return exit_status.OK


if __name__ == "__main__":
    command.run(main)
