"""What a round says: its throughput, latencies and the other quantities that expectations name.

NaN is what was not measured. What is served is what succeeded: a refusal is quick, and no service.
"""

from collections.abc import Callable, Iterable
from math import nan

from comparisons.registry import queued
from loadtests.judging.intervals import percentile
from loadtests.judging.rounds import Round, Sample

# An open loop's backlog grows if by more than this share of what is asked for. Below it, a queue
# that breathes looks the same in a window of a second.
MIN_GROWTH = 0.05


def succeeded(samples: Iterable[Sample]) -> list[Sample]:
    return [sample for sample in samples if not sample.error]


def throughput(round_: Round) -> float:
    """Successful answers a second: those in the window, since the last answer before it.

    Both ends are answers, so that a view that gives ten a second is not counted as nine or eleven.
    A closed loop repeats itself with every user's answer: whole turns are counted where there is
    one, because the window opens at the same place of a turn each time, and a part of it would
    always be the same part. Where requests only wait, none is answered in the window.
    """
    answers = sorted(round_.answers(), key=lambda sample: sample.end)
    if not answers or round_.waiting:
        return 0
    if round_.rate is None and len(answers) > round_.users:
        answers = answers[: len(answers) // round_.users * round_.users]
    before = [sample.end for sample in round_.samples if sample.end < round_.opened]
    span = answers[-1].end - max(before, default=round_.opened)
    return len(succeeded(answers)) / span if span > 0 else 0


def answers_per_second(round_: Round) -> float:
    """What the load generator had to send and check, failed or not."""
    return 0 if round_.waiting else len(round_.answers()) / max(1e-3, round_.closed - round_.opened)


def latencies_ms(round_: Round) -> list[float]:
    """Of successful answers. An open loop's count from when they were due."""
    return [sample.latency_ms for sample in succeeded(round_.due())]


def bystander_latencies_ms(round_: Round) -> list[float]:
    return [sample.latency_ms for sample in round_.bystander_answers()]


def bystander_max_ms(round_: Round) -> float:
    return max(bystander_latencies_ms(round_), default=nan)


def first_bytes_ms(round_: Round) -> list[float]:
    """Of successful answers, where somebody looked."""
    found = [sample.first_byte_ms for sample in succeeded(round_.due())]
    return [ms for ms in found if ms is not None]


def failures(round_: Round) -> list[Sample]:
    """Of the window, in which the load is steady."""
    return [sample for sample in round_.due() if sample.failed]


def cpu_ms_per_request(round_: Round) -> float:
    """CPU time of the server, without the bystander's, for each successful answer."""
    if not round_.server.seen:
        return nan
    served = len(succeeded(round_.answers()))
    calls = sum(round_.opened <= sample.end <= round_.closed for sample in round_.bystander)
    own = 1000 * round_.server.cpu_seconds - calls * round_.server.bystander_cpu_ms
    return max(own, 0) / served if served else nan


def pool_wait_ms(round_: Round) -> float:
    return _known(round_.server.pool_wait_ms)


def _at_most(name: str) -> Callable[[Round], float]:
    """Make the metric of what a server had at most, NaN where nobody looked."""
    return lambda round_: float(getattr(round_.server, name)) if round_.server.seen else nan


def _memory(round_: Round) -> float:
    return max(round_.server.rss_mb - round_.server.idle_mb, 0.1) if round_.server.seen else nan


def _known(value: float | None) -> float:
    return nan if value is None else value


def backlog_growth(round_: Round) -> float:
    """Requests a second by which those that wait for an answer become more (open loop)."""

    def backlog(moment: float) -> int:
        return sum(sample.start <= moment < sample.end for sample in round_.samples)

    grown = backlog(round_.closed) - backlog(round_.opened)
    return grown / max(1e-3, round_.closed - round_.opened)


METRICS: dict[str, Callable[[Round], float]] = {
    "throughput": throughput,
    "latency": lambda round_: percentile(latencies_ms(round_), 50),
    "latency_p99": lambda round_: percentile(latencies_ms(round_), 99),
    "first_byte": lambda round_: percentile(first_bytes_ms(round_), 50),
    "bystander": lambda round_: percentile(bystander_latencies_ms(round_), 50),
    "bystander_max": bystander_max_ms,
    "cpu_per_request": cpu_ms_per_request,
    "busiest_worker": lambda round_: _known(round_.server.busiest_worker),
    "memory": _memory,
    "threads": _at_most("threads"),
    "connections": _at_most("db_connections"),
    "queries": _at_most("queries"),
    "transactions": _at_most("transactions"),
    "upstream_calls": lambda round_: _known(round_.server.upstream_calls),
    "pool_wait": pool_wait_ms,
    "failures": lambda round_: len(failures(round_)) / max(1, len(round_.due())),
    "failed": lambda round_: sum(sample.failed for sample in round_.samples),
    "backlog_growth": backlog_growth,
}


def theory(round_: Round, of: str) -> float:
    """What theory gives, in the metric's unit: ms for wait and work, requests/s for the others.

    NaN for a queue in which nobody was served.
    """
    value: float | None
    if of == "ceiling":
        value = round_.ceiling
    elif of == "queue":
        cpu = cpu_ms_per_request(round_) / 1000
        value = queued(round_.users, round_.wait, cpu) if round_.wait else None
    else:
        seconds = round_.wait if of == "wait" else round_.work
        value = None if seconds is None else 1000 * seconds
    if not value:
        raise ValueError(f"{round_.comparison}/{round_.variant} declares no {of}")
    return value
