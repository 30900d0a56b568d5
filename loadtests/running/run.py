"""The half of `compare` that measures: services, servers and load generators, for each comparison.

It says what it finds as events. The other half judges, keeps and prints that.
"""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from comparisons.registry import Comparison, Cost
from loadtests.arguments import SHAPE, bad
from loadtests.judging import verdicts
from loadtests.judging.declared import Declared
from loadtests.judging.rounds import Round
from loadtests.running import schedule
from loadtests.running.calibration import calibrate
from loadtests.running.environment import environment
from loadtests.running.events import Begins, Chosen, Ends, Event, Failed, Measured, Started
from loadtests.running.generators import Generator as LoadGenerator
from loadtests.running.generators import load_generators
from loadtests.running.measuring import InDoubt, measure, min_cpu_seconds
from loadtests.running.network import hosts
from loadtests.running.rows import Row
from loadtests.running.selection import choose
from loadtests.running.warming import ViewError
from loadtests.running.workers import Bring, Crew, brought
from project import services
from project.ports import LOOPBACK, why_not_free
from project.services import schema

# Options of `compare` that say what is measured, by which plan.
OPTIONS = (
    *("slugs", "deployment", "quick", "minutes", "null", "users", "round_trip", "rate"),
    *SHAPE,
)


def plan_of(options: Mapping[str, Any]) -> schedule.Plan:
    """Return the plan of a run with these options."""
    own = _own_plan(options)
    return own.longer() if options["minutes"] else own


def run(
    options: Mapping[str, Any],
    seed: int,
    logs: Path | None = None,
    crew: Crew | None = None,
    bring: Bring = brought,
) -> Generator[Event, None, None]:
    """Measure what these OPTIONS choose. Yield first Chosen, then Started, then for each comparison
    Begins, what it is made of, and Ends.

    seed: of the order of the rounds. logs: the folder for what the servers of failing variants have
    said. crew, bring: as for `load_generators`; at the crew's address the servers listen too. Close
    the iterator to end all that it has started.

    Raises CommandError before Chosen if that cannot be, a FatalError if a server or a
    service fails.
    """
    address = crew.address if crew else LOOPBACK
    if why := why_not_free(0, address):
        raise bad(f"--address {address}: {why}")
    choice = choose(options)
    plan = plan_of(options)
    rounds = sum(plan.looks[0] * len(rows) for _, rows in choice.rows)
    yield Chosen(tuple(choice.left_out), rounds)
    with services.running(), load_generators(crew, bring) as generators:
        schema.ensure()
        found = environment(schema.server_version())
        if crew:
            found["hosts"] = hosts(crew.address, generators[0].workers)
        cost = calibrate(generators[0], address)
        shared = services.started_by_others()
        yield Started(found, generators[0].as_row(), asdict(cost), tuple(shared))
        yield from compared(
            choice.rows,
            cost,
            _budget(options, len(choice.rows)),
            _own_blocks(options),
            plan,
            partial(measure, address=address),
            seed,
            generators,
            logs,
        )


def compared(
    chosen: Sequence[tuple[Comparison, Sequence[Row]]],
    cost: Cost,
    budget: schedule.Budget,
    own_blocks: int,
    plan: schedule.Plan,
    rounds_of: Callable[..., Generator[Round, None, None]],
    seed: int,
    generators: Sequence[LoadGenerator],
    logs: Path | None,
) -> Generator[Event, None, None]:
    """Measure one comparison after the other, each by `rounds_of`, as `measure` does."""
    for comparison, rows in chosen:
        budget.begin()
        work_s = min_cpu_seconds(comparison.work, None) if comparison.work else None
        declared = Declared.of(comparison, cost, work_s)
        in_doubt = in_doubt_within(budget, declared, own_blocks, plan)
        yield Begins(declared)
        try:
            with closing(
                rounds_of(comparison, rows, plan, seed, generators, in_doubt, logs)
            ) as measuring:
                for round_ in measuring:
                    yield Measured(round_)
        except ViewError as error:
            yield Failed(comparison.slug, str(error))
        yield Ends(comparison.slug)


def _own_plan(options: Mapping[str, Any]) -> schedule.Plan:
    return schedule.QUICK if options["quick"] else schedule.FULL


def _is_in_time(options: Mapping[str, Any]) -> bool:
    """Tell whether time is the limit of a quick run, and not what --for says."""
    return bool(options["quick"] and not options["minutes"])


def _own_blocks(options: Mapping[str, Any]) -> int:
    """Return how many blocks are measured however long they take.

    Where time is the limit a quick run has one look of its own; all else has what its plan says.
    """
    return _own_plan(options).looks[0 if _is_in_time(options) else -1]


def _budget(options: Mapping[str, Any], comparisons: int) -> schedule.Budget:
    if _is_in_time(options):
        return schedule.FirstLooks(schedule.quick_seconds(comparisons), comparisons)
    return schedule.Shares(60 * (options["minutes"] or 0), comparisons)


def in_doubt_within(
    budget: schedule.Budget, declared: Declared, own_blocks: int, plan: schedule.Plan
) -> InDoubt:
    """Make the function that says what to measure on: after so many blocks only in time.

    What the last look has left in doubt, and nothing that came after it: that waits for the next.
    """

    def in_doubt(measured: Sequence[Round]) -> Collection[tuple[str, int, float]]:
        blocks = max(round_.block for round_ in measured)
        if blocks >= own_blocks and not budget.is_left():
            return ()
        look = plan.last_look(blocks)
        seen = [round_ for round_ in measured if round_.block <= look]
        return verdicts.in_doubt(declared, seen, plan.looks)

    return in_doubt
