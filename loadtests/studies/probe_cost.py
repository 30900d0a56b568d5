"""What the probes of `advise` cost while they are on: `python -m loadtests.studies.probe_cost`.

Views of ours, served as a reader's project is: without the probes, while they count, and while they
look, after the first requests, all of which they look into. All servers up at once, a round of each
in turn and in random order. The cost is the throughput that is lost, and what an answer takes more
of the server's CPU time, by pairs of rounds of the same turn; it is steadier, for others take time
from a server, and hardly CPU time. Of views that wait nothing is asked: there the probes have the
time.
"""

from project import command

if __name__ == "__main__":
    command.begin()

import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

import django
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table

django.setup()

from loadtests.advising.deployments import SubjectDeployment, deployments_of  # noqa: E402
from loadtests.advising.probing import TOGETHER  # noqa: E402
from loadtests.advising.run import PROBED_THREADS  # noqa: E402
from loadtests.advising.subject import find_subject  # noqa: E402
from loadtests.asks import Ask  # noqa: E402
from loadtests.judging.intervals import Interval, paired_ratio  # noqa: E402
from loadtests.orders import Order  # noqa: E402
from loadtests.running import sampling, servers  # noqa: E402
from loadtests.running.generators import Generator, load_generators, rate_in  # noqa: E402
from project import services  # noqa: E402
from project.inside.advised.probes import FIRST  # noqa: E402
from project.processes import BASE_DIR  # noqa: E402
from project.services import schema  # noqa: E402

CONFIDENCE = 0.95
WINDOW_S, MIN_ANSWERS = 2, 20
TURNS = 15
# One that does nothing, of which every µs is a part, and one that asks the database.
PATHS = {
    "wsgi": ("/servers-trivial/sync_threads/", "/orm-in-async/sync/"),
    "asgi": ("/servers-trivial/async_uvicorn/", "/orm-in-async/async_orm/"),
}
SERVED_BY = {"wsgi": "wsgi-threads", "asgi": "asgi-uvicorn"}
# What is asked before a round; None: of a server that has no probes.
STATES = {"off": None, "counting": "count", "looking": "begin"}


@dataclass(frozen=True)
class Served:
    """What a round shows: answers/s, and CPU seconds of the server for each answer."""

    rate: float
    cpu: float


Found = dict[tuple[str, str], list[Served]]  # of a path and a state, a turn each


def pair(deployment: SubjectDeployment) -> tuple[SubjectDeployment, SubjectDeployment]:
    """Return it in one process, without probes and with them."""
    if deployment.can_thread:
        deployment = replace(deployment, threads=PROBED_THREADS)
    alone = replace(deployment, workers=1)
    return alone, replace(alone, probes=True)


def served_of(generator: Generator, server: servers.Running, path: str, word: str | None) -> Served:
    """Measure a round, with the probes in this state."""
    if word:
        _ask(server, word)
        for _ in range(FIRST):
            with servers.direct.open(f"{server.url}{path}", timeout=60) as response:
                response.read()
    order = Order(
        comparison="",
        variant="",
        host=server.url,
        server=server.name,
        users=TOGETHER,
        window=WINDOW_S,
        min_answers=MIN_ANSWERS,
        bystander=f"{server.deployment.own_paths}bystander/",
        asks=[Ask(path).as_row()],
        any_body=True,
    )
    try:
        before = sampling.usage(server).cpu_seconds
        result = generator.run(order)
        cpu = sampling.usage(server).cpu_seconds - before
        answers = len(result.samples) + len(result.bystander)
        return Served(rate_in(result), cpu / answers)
    finally:
        if word:
            _ask(server, "end")


def _ask(server: servers.Running, word: str) -> None:
    with servers.direct.open(f"{server.own_url}probes/?{word}", timeout=60) as response:
        response.read()


def measured(generator: Generator, up: Mapping[str, Sequence[servers.Running]]) -> Found:
    """Measure TURNS rounds of each path in each state. up: by interface, without probes and with"""
    cases = [
        (path, state, running[word is not None], word)
        for interface, running in up.items()
        for path in PATHS[interface]
        for state, word in STATES.items()
    ]
    found: Found = {(path, state): [] for path, state, _, _ in cases}
    for _turn in track(range(TURNS), "probes", transient=True):
        for path, state, server, word in random.sample(cases, len(cases)):
            found[path, state].append(served_of(generator, server, path, word))
    return found


def lost(found: Found, path: str, state: str) -> Interval:
    """Return the part of the throughput that is lost, 0..1."""
    ratio = _ratio(found, path, state, lambda served: served.rate)
    return Interval(1 - ratio.mean, 1 - ratio.high, 1 - ratio.low)


def more_cpu(found: Found, path: str, state: str) -> Interval:
    """Return the CPU time that an answer takes more, as a part of what it takes without probes."""
    ratio = _ratio(found, path, state, lambda served: served.cpu)
    return Interval(ratio.mean - 1, ratio.low - 1, ratio.high - 1)


def _ratio(found: Found, path: str, state: str, value: Callable[[Served], float]) -> Interval:
    with_probes, without = (list(map(value, found[path, one])) for one in (state, "off"))
    return paired_ratio(with_probes, without, CONFIDENCE)


def main() -> None:
    # Before anything is started: the project of a reader does not find the services by itself.
    with services.running():
        schema.ensure()
        subject = find_subject(BASE_DIR, "project.settings", Path(sys.executable), {})
        served = deployments_of(subject)
        pairs = {interface: pair(served[name]) for interface, name in SERVED_BY.items()}
        with (
            load_generators() as generators,
            servers.serving([one for both in pairs.values() for one in both]) as running,
        ):
            up = dict(zip(pairs, zip(running[::2], running[1::2], strict=True), strict=True))
            found = measured(generators[0], up)
    path_column = Column("path", no_wrap=True)
    states = list(STATES)[1:]
    costs = [(name, state) for state in states for name in ("% lost", "% more CPU")]
    table = Table(
        path_column, "off, req/s", "CPU ms", *(f"{state}, {name}" for name, state in costs)
    )
    for path in (path for paths in PATHS.values() for path in paths):
        off = found[path, "off"]
        intervals = [of(found, path, state) for state in states for of in (lost, more_cpu)]
        table.add_row(
            path,
            f"{mean(served.rate for served in off):,.0f}",
            f"{1000 * mean(served.cpu for served in off):.2f}",
            *(f"{100 * x.mean:.1f} ({100 * x.low:.1f} to {100 * x.high:.1f})" for x in intervals),
        )
    Console().print(table)


if __name__ == "__main__":
    command.run(main)
