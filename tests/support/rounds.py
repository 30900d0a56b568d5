"""Rounds measured for a test, of a comparison on real servers."""

from contextlib import closing

from comparisons.pairs import COMPARISONS
from loadtests.running.measuring import measure
from loadtests.running.rows import rows_of
from loadtests.running.schedule import Plan

PLAN = Plan(window=0.3, looks=(1,))
BLOCKING_CALL = COMPARISONS["blocking-call"]


def measured_rounds(comparison, *generators, plan=PLAN, rows=None, logs=None, found=None):
    """Every round of the comparison, or of these rows; until the plan's first look.

    found: a list that has the rounds before an error too.
    """
    found = [] if found is None else found
    rows = rows_of(comparison, [], None) if rows is None else rows
    with closing(measure(comparison, rows, plan, 1, generators, lambda _: [], logs)) as measuring:
        for round_ in measuring:
            found.append(round_)
    return found
