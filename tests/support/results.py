"""Results of made-up rounds, as a run would make them."""

from itertools import groupby

from comparisons.result import Result, now
from loadtests.judging.measurements import measurements
from loadtests.judging.verdicts import judge_comparison


def made_result(declared, measured, plan):
    """The result of a run of these comparisons; measured: their rounds, one after the other."""
    result = Result(
        started=now(),
        finished=now(),
        plan={"window": plan.window, "looks": plan.looks},
        declared=[one.as_row() for one in declared],
    )
    of_slug = {slug: list(of) for slug, of in groupby(measured, key=lambda r: r.comparison)}
    for one in declared:
        result.measurements += measurements(one, of_slug[one.comparison], plan.confidence)
        result.verdicts += judge_comparison(one, of_slug[one.comparison], plan.confidence)
    return result


def rows_of(measured):
    """Rounds as the samples have them."""
    return [round_.as_row() for round_ in measured]
