"""From one user to saturation: what a server does with twice as many each time."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from comparisons.advice import Step
from comparisons.registry import Comparison
from loadtests.judging import metrics, validity
from loadtests.judging.intervals import percentile
from loadtests.judging.rounds import Round
from loadtests.running import sampling, schedule, servers
from loadtests.running.generators import Generator
from loadtests.running.measuring import Measurement, Served, begin, record, watch
from loadtests.running.rows import Row
from loadtests.running.sockets import Address, Sockets
from loadtests.running.warming import warm_up

LIMIT = 256  # users
WINDOW_S = 0.5
MIN_ANSWERS = 20
GAIN = 1.1  # what a doubling brings at least, or it has brought nothing
IN_A_ROW = 2  # doublings that bring nothing: saturated
MAX_FAILED = 0.1


def sweep(
    comparison: Comparison,
    row: Row,
    generator: Generator,
    databases: Collection[Address] = (),
    limit: int = LIMIT,
    logs: Path | None = None,
    window: float = WINDOW_S,
) -> Iterator[Step]:
    """Yield a step each for 1, 2, 4, ... users of one server, which is started for it.

    window: seconds, in which the slowest request has to be answered a few times.

    Until it is saturated, more than MAX_FAILED of the answers fail, or as many users as the limit
    have come; or the load generator is what limits it, of which a step would say nothing. Whatever
    the row's own load is: in a closed loop. Close the iterator to end the server before its end.

    Raises ServerError and ViewError as `measure` does.
    """
    environ = row.server_environ(comparison.slug, {}, server=0)
    with servers.serving([row.deployment], [environ]) as running:
        idle_mb = sampling.usage(running[0]).memory_mb
        (alone,) = warm_up(comparison.slug, [row], running, logs)
        steps: list[Step] = []
        users = 1
        while users <= limit:
            # So that every user's answer counts, however slow.
            plan = schedule.Plan(window, looks=(1,), min_answers=max(MIN_ANSWERS, users))
            measurement = Measurement(comparison, plan, [generator], Sockets(databases), logs)
            loaded = replace(row, users=users, rate=None)
            served = Served(loaded, running, 0, idle_mb, start=1, alone=alone)
            round_ = _undisturbed(measurement, served, generator)
            if _is_the_generators(round_):
                return
            steps.append(_step(round_))
            yield steps[-1]
            if running[0].death() or is_saturated(steps):
                return
            users *= 2


def is_saturated(steps: Sequence[Step]) -> bool:
    """Tell whether more users than these would bring nothing."""
    if steps[-1].failed > MAX_FAILED or not steps[-1].throughput:
        return True
    brought = [
        step.throughput / max(other.throughput for other in steps[:place])
        for place, step in enumerate(steps)
        if place
    ]
    return len(brought) >= IN_A_ROW and max(brought[-IN_A_ROW:]) < GAIN


def _undisturbed(measurement: Measurement, served: Served, generator: Generator) -> Round:
    """Measure a round, and others if something came between."""
    for _ in range(1 + schedule.REPEATS):
        begun = begin(measurement, 1, served, generator, None)
        round_ = record(measurement, begun, watch(measurement, begun))
        if not validity.why_disturbed(round_):
            break
    return round_


def _is_the_generators(round_: Round) -> bool:
    rate, capacity = metrics.answers_per_second(round_), round_.generator_capacity
    return round_.generator_cpu > validity.MAX_GENERATOR_CPU or (
        capacity is not None and rate > validity.MAX_CAPACITY_SHARE * capacity
    )


def _step(round_: Round) -> Step:
    answers = round_.answers()
    latencies = metrics.latencies_ms(round_)
    return Step(
        users=round_.users,
        throughput=metrics.throughput(round_),
        p50_ms=percentile(latencies, 50) if latencies else 0,  # which JSON has, unlike NaN
        p99_ms=percentile(latencies, 99) if latencies else 0,
        cpu=round_.server.cpu_seconds / (round_.closed - round_.opened),
        db_connections=round_.server.db_connections,
        failed=len(metrics.failures(round_)) / len(answers) if answers else 1.0,
    )
