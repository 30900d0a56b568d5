"""From rounds to the result file's measurements: one for each variant, deployment and case."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from math import isnan, nan
from statistics import mean, median

import numpy as np

from comparisons.confidence import ALPHA
from comparisons.result import (
    QUANTILES,
    UNSEEN,
    Bystander,
    Latency,
    Measurement,
    Server,
    Throughput,
    rounded,
)
from loadtests.judging import metrics
from loadtests.judging.declared import Declared
from loadtests.judging.intervals import Interval, percentile, times, trimmed_mean
from loadtests.judging.rounds import Round
from loadtests.judging.timelines import timelines, typical
from loadtests.judging.validity import agreed_digest, why_insufficient, why_invalid


def measurements(declared: Declared, measured: Sequence[Round]) -> list[Measurement]:
    """Summarize a comparison's rounds, case by case, in the order of its variants."""
    digest = agreed_digest(measured)
    by_row = groupby(sorted(measured, key=lambda r: (r.row, r.block)), key=lambda r: r.row)
    of_row = {row: list(of_row) for row, of_row in by_row}
    order = {name: place for place, name in enumerate(declared.variants)}
    rows = sorted(of_row, key=lambda row: (*row[2:], order[row[0]], row[1]))
    summed = []
    for _case, of_case in groupby(rows, key=lambda row: row[2:]):
        measured_rows = [of_row[row] for row in of_case]
        shown = timelines([typical(_used(of_row, digest)) for of_row in measured_rows])
        summed += [
            replace(measurement(of_row, digest), timeline=timeline)
            for of_row, timeline in zip(measured_rows, shown, strict=True)
        ]
    return summed


def _used(of_row: Sequence[Round], digest: int | None) -> list[Round]:
    """The rounds that count; if too few do, all."""
    if why_insufficient(of_row, digest):
        return list(of_row)
    return [round_ for round_ in of_row if not why_invalid(round_, digest)]


def measurement(of_row: Sequence[Round], digest: int | None) -> Measurement:
    """Summarize the rounds of one variant on one deployment in one case, but for the timeline.

    Figures are those of the rounds that count; if too few do, of all, and the row is invalid.
    """
    because = why_insufficient(of_row, digest)
    good = [round_ for round_ in of_row if not why_invalid(round_, digest)]
    used = _used(of_row, digest)
    first = of_row[0]
    growth = _backlog_growth(used)
    ceilings = [round_.ceiling for round_ in used if round_.ceiling]
    return Measurement(
        comparison=first.comparison,
        variant=first.variant,
        deployment=first.deployment,
        workers=first.workers,
        worker_threads=first.worker_threads,
        users=first.users,
        round_trip=first.round_trip,
        rounds=len(good),
        requests=sum(len(round_.due()) for round_ in used),
        failures=sum(len(metrics.failures(round_)) for round_ in used),
        throughput=_throughput(used),
        latency_ms=_latency([] if growth else used),
        bystander_ms=_bystander(used),
        server=_server(used),
        ceiling=rounded(median(ceilings)) if ceilings else None,
        waiting=first.waiting,
        rate=first.rate,
        send_delay_ms=rounded(max(round_.send_delay for round_ in used)),
        sampler_cpu=rounded(max(round_.sampler_cpu for round_ in used)),
        load_generator_cpu=rounded(max(round_.generator_cpu for round_ in used)),
        steal=rounded(max(round_.steal for round_ in used)),
        throttled=rounded(max(round_.throttled for round_ in used)),
        valid=not because,
        invalid_because=because,
        backlog_growth=growth,
        distribution=None if growth else _distribution(used),
        held=next((round_.held for round_ in of_row if round_.held is not None), None),
    )


def _backlog_growth(used: Sequence[Round]) -> float | None:
    """Requests/s by which an open loop's backlog grows; None if it does not, as far as one can see.

    One round that grows may be a stall; an overloaded server's all do.
    """
    rate = used[0].rate
    if rate is None or len(used) < 2:
        return None
    growth = trimmed_mean([metrics.backlog_growth(round_) for round_ in used], 1 - ALPHA)
    grows = growth.low > 0 and growth.mean > metrics.MIN_GROWTH * rate
    return rounded(growth.mean) if grows else None


def _throughput(used: Sequence[Round]) -> Throughput:
    rate = times([metrics.throughput(round_) for round_ in used], 1 - ALPHA)
    return Throughput(rounded(rate.mean), rounded(rate.low), rounded(rate.high))


def _latency(used: Sequence[Round]) -> Latency:
    values = [latency for round_ in used for latency in metrics.latencies_ms(round_)]
    p50, p95, p99 = (rounded(percentile(values, q)) for q in (50, 95, 99))
    medians = [percentile(of_round, 50) for r in used if (of_round := metrics.latencies_ms(r))]
    typical_ms = times(medians, 1 - ALPHA) if medians else Interval(nan, nan, nan)
    return Latency(
        p50,
        p95,
        p99,
        rounded(max(values, default=nan)),
        rounded(typical_ms.mean),
        rounded(typical_ms.low),
        rounded(typical_ms.high),
    )


def _distribution(used: Sequence[Round]) -> list[float] | None:
    values = [latency for round_ in used for latency in metrics.latencies_ms(round_)]
    if not values:
        return None
    return [float(f"{value:.4g}") for value in np.percentile(values, QUANTILES)]


def _bystander(used: Sequence[Round]) -> Bystander:
    values = [latency for round_ in used for latency in metrics.bystander_latencies_ms(round_)]
    p50, p99 = (rounded(percentile(values, q)) for q in (50, 99))
    each = [longest for round_ in used if not isnan(longest := metrics.bystander_max_ms(round_))]
    longest = times(each, 1 - ALPHA).mean if each else nan
    return Bystander(p50, p99, rounded(max(values, default=nan)), rounded(longest))


def _server(used: Sequence[Round]) -> Server:
    servers = [round_.server for round_ in used]
    if not any(server.seen for server in servers):
        return UNSEEN
    return Server(
        processes=max(server.processes for server in servers),
        threads=max(server.threads for server in servers),
        cpu_seconds=rounded(sum(server.cpu_seconds for server in servers)),
        cpu_ms_per_request=rounded(median(map(metrics.cpu_ms_per_request, used))),
        rss_mb=rounded(max(server.rss_mb for server in servers)),
        idle_mb=rounded(servers[0].idle_mb),
        db_connections=max(server.db_connections for server in servers),
        queries=max(server.queries for server in servers),
        transactions=max(server.transactions for server in servers),
        upstream_calls=max(
            (server.upstream_calls for server in servers if server.upstream_calls is not None),
            default=None,
        ),
        pool_wait_ms=_mean_of_known(server.pool_wait_ms for server in servers),
        busiest_worker=_mean_of_known(server.busiest_worker for server in servers),
    )


def _mean_of_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return rounded(mean(known)) if known else None
