"""Made-up rounds, and the results that a run would make of them."""

from itertools import groupby

from comparisons.confidence import ALPHA
from comparisons.pairs import blocking_call
from comparisons.result import Result, now
from loadtests.judging.measurements import measurements
from loadtests.judging.rounds import Round, Sample, Server
from loadtests.judging.verdicts import judge_comparison

BODY = 1234  # the digest of every answer


def made_round(variant="async_native", block=1, rate=100.0, **changes):
    """One second, from t=100 on, of evenly spaced answers of 50 ms, and a little before."""
    every = 1 / rate
    ends = [100 + place * every for place in range(-5, int(rate) + 1)]
    fields = {
        "comparison": "blocking-call",
        "variant": variant,
        "deployment": "asgi-uvicorn",
        "block": block,
        "users": blocking_call.comparison.users,
        "round_trip": 0,
        "workers": 1,
        "worker_threads": 1,
        "opened": 100.0,
        "closed": 101.0,
        "samples": [Sample(end - 0.05, 50.0, 200, BODY, None) for end in ends],
        "bystander": [Sample(100.5, 3.0, 200, BODY, None)],
        "server": Server(1, 2, 0.5, 60.0, 50.0, 0),
        "generator_cpu": 0.1,
        "steal": 0.0,
        "ceiling": None,
        "wait": 0.05,
        "work": None,
    }
    return Round(**(fields | changes))


def made_result(declared, measured, plan):
    """The result of a run of these comparisons; measured: their rounds, one after the other."""
    result = Result(
        started=now(),
        finished=now(),
        plan={"window": plan.window, "looks": plan.looks, "alpha": ALPHA},
        declared=[one.as_row() for one in declared],
    )
    of_slug = {slug: list(of) for slug, of in groupby(measured, key=lambda r: r.comparison)}
    for one in declared:
        result.measurements += measurements(one, of_slug[one.comparison])
        result.verdicts += judge_comparison(one, of_slug[one.comparison], plan.looks)
    return result


def rows_of(measured):
    """Rounds as the samples have them."""
    return [round_.as_row() for round_ in measured]
