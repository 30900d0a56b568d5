"""Rounds measured for a test, of a comparison on real servers; and their verdicts."""

from contextlib import closing

from comparisons.pairs import COMPARISONS
from comparisons.registry import Cost
from loadtests.judging import verdicts
from loadtests.judging.declared import Declared
from loadtests.running.measuring import measure, min_cpu_seconds
from loadtests.running.rows import rows_of
from loadtests.running.schedule import Plan

PLAN = Plan(window=0.3, looks=(1,))
COST = Cost(latency_ms=5, cpu_ms=2)  # about what a calibration finds
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


def judged(comparison, measured, plan):
    work_s = min_cpu_seconds(comparison.work, None) if comparison.work else None
    return verdicts.judge_comparison(Declared.of(comparison, COST, work_s), measured, plan.looks)
