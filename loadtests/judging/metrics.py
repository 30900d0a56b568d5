"""What a round says: its throughput, latencies and the other quantities that expectations name."""

from collections.abc import Callable
from math import nan

from comparisons.registry import Metric
from loadtests.judging.intervals import percentile
from loadtests.judging.rounds import Round, Sample


def throughput(round_: Round) -> float:
    """Answers a second: those in the window, over the time from the last answer before it.

    Both ends are answers, so that a view that gives ten a second is not counted as nine or eleven.
    Where requests only wait, none is answered in the window.
    """
    answers = round_.answers()
    if not answers or round_.waiting:
        return 0
    before = [sample.end for sample in round_.samples if sample.end < round_.opened]
    span = max(sample.end for sample in answers) - max(before, default=round_.opened)
    return len(answers) / span if span > 0 else 0


def latencies_ms(round_: Round) -> list[float]:
    return [sample.latency_ms for sample in round_.answers()]


def bystander_latencies_ms(round_: Round) -> list[float]:
    return [sample.latency_ms for sample in round_.bystander_answers()]


def failures(round_: Round) -> list[Sample]:
    return [sample for sample in round_.answers() if sample.error]


def cpu_ms_per_request(round_: Round) -> float:
    return 1000 * round_.server.cpu_seconds / max(1, len(round_.answers()))


METRICS: dict[Metric, Callable[[Round], float]] = {
    "throughput": throughput,
    "latency": lambda round_: percentile(latencies_ms(round_), 50),
    "latency_p99": lambda round_: percentile(latencies_ms(round_), 99),
    "bystander": lambda round_: percentile(bystander_latencies_ms(round_), 50),
    "bystander_max": lambda round_: max(bystander_latencies_ms(round_), default=nan),
    "cpu_per_request": cpu_ms_per_request,
    "memory": lambda round_: max(round_.server.rss_mb - round_.server.idle_mb, 0.1),
    "threads": lambda round_: round_.server.threads,
    "connections": lambda round_: round_.server.db_connections,
    "pool_wait": lambda round_: round_.server.pool_wait_ms or 0,
    "failures": lambda round_: len(failures(round_)) / max(1, len(round_.answers())),
}


def theory(round_: Round, of: str) -> float:
    """What theory gives, in the metric's unit: ms for wait and work, requests/s for the ceiling."""
    if of == "ceiling":
        value = round_.ceiling
    else:
        seconds = round_.wait if of == "wait" else round_.work
        value = None if seconds is None else 1000 * seconds
    if not value:
        raise ValueError(f"{round_.comparison}/{round_.variant} declares no {of}")
    return value
