"""What is said of two runs: changed, same, can't tell; and how often that is wrong, by simulation.

Both runs are made as a run is: rounds on the log scale, looked at as the plan says until they
decide, of which the file keeps the mean, the interval and how many there were.
"""

from dataclasses import replace
from math import exp, log

import numpy as np
import pytest
from django.conf import settings

from comparisons import changes as module
from comparisons import result_store
from comparisons.advice import ADVICE, FORMULA, NOW
from comparisons.changes import (
    BLOCKS_MS,
    Change,
    Changes,
    Interval,
    SpeedChange,
    changes,
    counts,
    difference,
    logarithm,
    ratio,
    worse,
)
from comparisons.confidence import ALPHA, confidence_at, left_out
from comparisons.result import Hold, Result, Verdict, now
from loadtests.judging.intervals import geometric, share
from loadtests.judging.verdicts import outcome_of
from loadtests.running.schedule import FULL, QUICK

REFERENCE = result_store.read(settings.RESULTS_DIR / result_store.REFERENCE)
VERDICTS = {verdict.expectation: verdict for verdict in REFERENCE.verdicts}
RATE = VERDICTS["async_native throughput of async_blocking at least 3"]
LIMIT = VERDICTS["async_django_pool connections at most 8"]
SHARE = VERDICTS["async_user failures at least 0.95"]
PLAN = {"window": 0.5, "looks": [4, 8, 12], "alpha": 0.05}
ORDINARY = 0.052  # by which rounds of the reference run spread: errors of 0.026 from four


def made(verdict, interval, rounds=4, **other):
    mean, low, high = interval
    return replace(verdict, measured=mean, low=low, high=high, rounds=rounds, **other)


def run_of(*verdicts, **other):
    """A result of these verdicts; of their comparisons there are measurements."""
    slugs = {verdict.comparison for verdict in verdicts}
    rows = [row for row in REFERENCE.measurements if row.comparison in slugs]
    return Result(
        started=now(), verdicts=list(verdicts), **{"plan": PLAN, "measurements": rows} | other
    )


def change(before: Verdict, after: Verdict, **other):
    (found,) = changes(run_of(before, **other), run_of(after, **other)).expectations
    return found


# --- How often it is wrong


def independent(rng, rounds, spread):
    return rng.normal(0, spread, rounds)


def spiked(rng, rounds, spread):
    """One round in ten is three times as slow."""
    return rng.normal(0, spread, rounds) - log(3) * (rng.random(rounds) < 0.1)


def skewed(rng, rounds, spread):
    """Most rounds are quick, and a few are slow."""
    return spread * (rng.exponential(1, rounds) - 1)


NOISES = [independent, spiked, skewed]


def judged(rng, noise, spread, plan, truth, bound):
    """An interval of a ratio of which at least `bound` is expected, and how many rounds it has."""
    values = np.exp(truth + noise(rng, plan.looks[-1], spread))
    for number, look in enumerate(plan.looks, 1):
        found = geometric(values[:look], confidence_at(number))
        if outcome_of(found, bound, None) != "inconclusive":
            break
    return (found.mean, found.low, found.high), look


def pairs(noise, spread, plan, times, bound, runs, seed=11):
    """What is said of so many pairs of runs, of which the second has `times` the first's value."""
    rng = np.random.default_rng(seed)
    own = {"plan": {"looks": list(plan.looks), "alpha": ALPHA}}
    before, after = [], []
    for number in range(runs):
        for side, truth in ((before, 0), (after, log(times))):
            interval, rounds = judged(rng, noise, spread, plan, truth, bound)
            side.append(made(RATE, interval, rounds, expectation=str(number)))
    return changes(run_of(*before, **own), run_of(*after, **own)).expectations


def covering(found, times):
    return sum(change.ratio.low <= times <= change.ratio.high for change in found) / len(found)


def at_most(share, runs):
    """So many are within chance of this share: three standard deviations of the count."""
    return share * runs + 3 * (runs * share * (1 - share)) ** 0.5


PLANS = pytest.mark.parametrize("plan", [FULL, QUICK], ids=["full", "quick"])


@PLANS
@pytest.mark.parametrize("noise", NOISES)
def test_two_runs_of_the_same_differ_in_a_hundredth_at_most(noise, plan):
    runs = 400
    found = pairs(noise, ORDINARY, plan, times=1, bound=0.5, runs=runs)
    assert counts(found)["changed"] <= at_most(0.01, runs)


@PLANS
def test_change_that_lies_on_the_margin_is_found_neither_changed_nor_same(plan):
    runs = 400
    found = counts(pairs(independent, ORDINARY, plan, times=1 / 1.05, bound=0.5, runs=runs))
    assert found["changed"] <= at_most(0.025, runs)
    assert found["same"] <= at_most(0.025, runs)


def test_view_a_fifth_slower_is_found_where_rounds_spread_as_they_typically_do():
    found = counts(pairs(independent, ORDINARY, FULL, times=1 / 1.2, bound=0.5, runs=400))
    assert found["changed"] >= 0.8 * 400


def test_steady_rounds_tell_that_nothing_has_changed():
    found = counts(pairs(independent, 0.01, FULL, times=1, bound=0.5, runs=200))
    assert found["same"] >= 0.9 * 200


@pytest.mark.long
@PLANS
@pytest.mark.parametrize("bound", [0.5, 0.9, 1], ids=["far", "near", "on_it"])
@pytest.mark.parametrize("spread", [0.02, ORDINARY, 0.15])
@pytest.mark.parametrize("noise", NOISES)
def test_intervals_cover_the_truth_and_few_runs_of_the_same_differ(noise, spread, bound, plan):
    """Wherever the bound of the verdict, which says when a run stops, lies.

    Stopping when rounds happen to agree makes errors too small where the truth lies on the bound:
    92 of 100 intervals cover it there in place of 95.
    """
    runs = 2000
    same = pairs(noise, spread, plan, times=1, bound=bound, runs=runs)
    assert covering(same, 1) >= 0.92 - 0.018
    assert counts(same)["changed"] <= at_most(0.02, runs)
    slower = pairs(noise, spread, plan, times=1 / 1.05, bound=bound, runs=runs)
    assert counts(slower)["changed"] <= at_most(0.05, runs)
    assert counts(slower)["same"] <= at_most(0.05, runs)


@pytest.mark.long
@pytest.mark.parametrize(("truth", "correlation"), [(0.5, 0), (0.5, 0.1), (0.02, 0), (0.9, 0.1)])
def test_two_runs_of_the_same_share_differ_in_few(truth, correlation):
    runs, rounds = 4000, 4
    rng = np.random.default_rng(7)
    wrong = covered = 0
    for _ in range(runs):
        sides = []
        for _ in range(2):
            if correlation:
                spread = 1 / correlation - 1
                each = rng.beta(truth * spread, (1 - truth) * spread, rounds)
            else:
                each = np.full(rounds, truth)
            found = share([(int(k), 30) for k in rng.binomial(30, each)], confidence_at(1))
            sides.append(Interval(found.mean, found.low, found.high))
        points = difference(*sides)
        wrong += module.kind_of(points, -module.POINTS, module.POINTS) == "changed"
        covered += points.low <= 0 <= points.high
    assert wrong <= 0.01 * runs
    assert covered >= 0.95 * runs


# --- From an interval back to its error


@pytest.mark.parametrize("rounds", [2, 4, 5, 6, 8, 11, 12])
def test_error_and_degrees_are_those_that_the_interval_was_made_of(rounds):
    logs = np.random.default_rng(rounds).normal(1, 0.1, rounds)
    found = geometric(list(np.exp(logs)), 0.97)
    back = logarithm(found.mean, found.low, found.high, rounds, 0.97)
    kept = sorted(logs)[left_out(rounds) : rounds - left_out(rounds)]
    winsorized = np.clip(logs, kept[0], kept[-1]).std(ddof=1)
    error = winsorized / rounds**0.5 / (0.6 if left_out(rounds) else 1)
    assert back.mean == pytest.approx(np.mean(kept))
    assert back.error == pytest.approx(error)
    assert back.degrees == len(kept) - 1


def test_ratio_of_equally_noisy_runs_has_the_degrees_of_both():
    """Student's two-sample interval, which Welch's is then: t of six degrees is 2.447."""
    one = module.Logarithm(0, 0.1, 3)
    found = ratio(one, one)
    assert log(found.high) == pytest.approx(2.447 * 0.1 * 2**0.5, rel=1e-3)
    assert (found.mean, found.low) == (1, pytest.approx(1 / found.high))


def test_ratio_to_a_run_without_noise_has_the_degrees_of_the_other():
    found = ratio(module.Logarithm(0, 0, 3), module.Logarithm(log(2), 0.1, 11))
    assert log(found.high / 2) == pytest.approx(2.201 * 0.1, rel=1e-3)


def test_look_that_came_later_has_a_wider_interval_of_the_same_rounds():
    """The file has its length; the error is what that length says at its look."""
    plan = module._Plan((4, 8), 0.05)
    assert plan.confidence(4) == confidence_at(1)
    assert plan.confidence(7) == plan.confidence(8) == confidence_at(2)


# --- What is said of one


@pytest.mark.parametrize(
    ("after", "kind"),
    [((0.8, 0.79, 0.81), "changed"), ((1.01, 1, 1.02), "same"), ((0.9, 0.8, 1.01), "unclear")],
)
def test_rate_is_changed_beyond_five_percent_and_same_within(after, kind):
    found = change(made(RATE, (1, 0.99, 1.01)), made(RATE, after))
    assert found.kind == kind
    assert found.ratio.mean == pytest.approx(after[0])


def test_certain_change_of_three_percent_is_no_change():
    found = change(made(RATE, (1, 0.9999, 1.0001)), made(RATE, (1.03, 1.0299, 1.0301)))
    assert found.kind == "same"
    assert found.ratio.low > 1


def test_outcome_may_change_where_the_value_is_the_same():
    before = made(RATE, (1, 0.999, 1.001), outcome="holds")
    found = change(before, replace(before, outcome="refuted"))
    assert (found.kind, found.outcome_changed) == ("same", True)


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ((0, 0, 0.01), (0, 0, 0.02), "same"),
        ((0, 0, 0.01), (0.5, 0.4, 0.6), "changed"),
        ((0.5, 0.4, 0.6), (0.45, 0.35, 0.55), "unclear"),
        ((0, 0, 0.01), (0.01, 0.002, 0.03), "same"),
    ],
)
def test_share_is_compared_in_points(before, after, kind):
    found = change(made(SHARE, before), made(SHARE, after))
    assert (found.kind, found.ratio) == (kind, None)


@pytest.mark.parametrize(
    ("before", "after", "rounds", "kind"),
    [
        ((4, 4, 4), (4, 4, 4), 4, "same"),
        ((4, 4, 4), (5, 5, 5), 4, "changed"),
        ((4, 4, 4), (5, 5, 5), 3, "changed"),
        ((4, 3, 4), (6, 5, 6), 4, "changed"),
        ((4, 3, 4), (6, 5, 6), 3, "unclear"),  # one in ten ways to deal six rounds
        ((4, 3, 4), (5, 4, 5), 4, "unclear"),
        ((0, 0, 0), (0, 0, 0), 4, "same"),
        ((0, 0, 0), (3, 1, 3), 4, "changed"),
        ((1001, 1000, 1001), (1005, 1004, 1005), 4, "same"),
    ],
)
def test_limit_is_changed_where_the_ranges_of_rounds_do_not_touch(before, after, rounds, kind):
    found = change(made(LIMIT, before, rounds), made(LIMIT, after, rounds))
    assert found.kind == kind


@pytest.mark.parametrize(
    ("after", "why"),
    [
        ({"measured": None, "low": None, "high": None, "outcome": "invalid"}, "unmeasured"),
        ({"low": 0.0}, "zero"),
        ({"high": None}, "zero"),
        ({"rounds": 0}, "older"),
        ({"rounds": 1}, "zero"),
        ({"expected": replace(RATE.expected, users=600)}, "case"),
    ],
)
def test_what_has_no_interval_says_why(after, why):
    found = change(RATE, replace(RATE, **after))
    assert (found.kind, found.why) == ("unclear", why)


def test_file_that_does_not_say_how_it_was_judged_is_compared_with_nothing():
    assert change(RATE, RATE, plan={"looks": [4, 8]}).why == "older"


# --- What is compared


def test_expectation_of_one_run_is_gone_or_new_and_comparisons_of_one_are_named():
    gone, new = replace(RATE, expectation="gone"), replace(RATE, expectation="new")
    found = changes(run_of(RATE, gone, LIMIT), run_of(RATE, new, SHARE))
    assert [one.after for one in found.expectations] == [RATE]
    assert (found.gone, found.new) == ([gone], [new])
    assert (found.only_before, found.only_after) == ([LIMIT.comparison], [SHARE.comparison])


def test_same_expectation_on_another_deployment_is_another():
    there = replace(RATE, deployment="asgi-gunicorn")
    found = changes(run_of(RATE), run_of(there))
    assert (found.expectations, found.gone, found.new) == ([], [RATE], [there])


def faster(result, times):
    rows = [
        replace(
            row,
            throughput=replace(
                row.throughput,
                mean=row.throughput.mean * times,
                low=row.throughput.low * times,
                high=row.throughput.high * times,
            ),
        )
        for row in result.measurements
        if row.throughput.low
    ]
    return replace(result, measurements=rows)


def test_speeds_are_those_of_rows_that_count_and_serve():
    own = changes(REFERENCE, REFERENCE)
    rows = [r for r in REFERENCE.measurements if r.valid and not r.waiting and r.throughput.low]
    assert len(own.speeds) == len(rows)
    assert own.typical_speed == 1
    assert counts(own.speeds)["changed"] == 0
    twice = changes(REFERENCE, faster(REFERENCE, 2))
    assert twice.typical_speed == pytest.approx(2)
    assert counts(twice.speeds)["changed"] > len(rows) / 2


def test_result_has_not_changed_since_itself():
    found = changes(REFERENCE, REFERENCE)
    assert len(found.expectations) == len(REFERENCE.verdicts)
    assert counts(found.expectations)["changed"] == 0
    assert (found.differing, found.reshaped, found.gone, found.new) == ([], [], [], [])


def test_environments_options_plans_and_shapes_that_differ_are_named():
    before = run_of(
        RATE, environment={"django": "5.2", "load_average": [1]}, options={"pin": False}
    )
    rows = [replace(row, workers=7) for row in before.measurements]
    after = run_of(
        RATE,
        environment={"django": "6.1", "load_average": [2]},
        options={"pin": True},
        plan=PLAN | {"looks": [3, 8]},
        measurements=rows,
    )
    found = changes(before, after)
    assert [(one.name, one.before, one.after) for one in found.differing] == [
        ("django", "5.2", "6.1"),
        ("pin", "", "True"),
        ("looks", "4, 8, 12", "3, 8"),
    ]
    assert len(found.reshaped) == len(rows)
    assert changes(before, before).reshaped == []


def test_ends_that_no_float_holds_are_any_ratio():
    found = ratio(module.Logarithm(0, 400, 3), module.Logarithm(0, 400, 3))
    assert (found.low, found.mean) == (0, exp(0))
    assert module._kind_of_ratio(found) == "unclear"


def test_rounds_without_number_separate_for_certain():
    assert module.chance_apart(10**9, 10**9, constant=False) < 1e-9
    assert module.chance_apart(10**9, 10**9, constant=True) < 1e-9


# --- What a test fails for


ROW = REFERENCE.measurements[0]
OF_ADVICE = {"comparison": ADVICE, "deployment": "wsgi-sync", "workers": 5}
LESS = ("changed", 0.7, 0.8, 0.9)
HOLD = Hold("shop/views.py:31", "time.sleep(0.05)", "", 50, 0, 1, 51)


def speed_change(kind, low, mean, high, before=None, **of_row):
    row = replace(ROW, **of_row)
    return SpeedChange(replace(row, **before or {}), row, kind, Interval(mean, low, high))


def outcome_change(before, after, **of_verdict):
    verdicts = (replace(RATE, outcome=outcome, **of_verdict) for outcome in (before, after))
    return Change(*verdicts, kind="unclear")


@pytest.mark.parametrize(
    ("changed", "is_worse"),
    [
        (speed_change("changed", 0.7, 0.8, 0.9), True),
        (speed_change("changed", 1.1, 1.2, 1.3), False),
        (speed_change("unclear", 0.6, 0.8, 1.1), False),
        (speed_change("same", 0.98, 0.99, 1.0), False),
        (outcome_change("holds", "refuted"), True),
        (outcome_change("holds", "inconclusive"), False),
        (outcome_change("refuted", "refuted"), False),
        (outcome_change("refuted", "holds"), False),
        (outcome_change("holds", "refuted", comparison=ADVICE), False),
        (speed_change(*LESS, **OF_ADVICE, variant=FORMULA), True),
        (speed_change(*LESS, **OF_ADVICE, variant="threads", before={"workers": 4}), False),
    ],
)
def test_worse_is_what_serves_less_or_is_refuted_now(changed, is_worse):
    kind = "speeds" if isinstance(changed, SpeedChange) else "expectations"
    found = Changes(REFERENCE, REFERENCE, **{kind: [changed]})
    assert worse(found) == ([changed] if is_worse else [])


def test_of_what_runs_today_and_what_might_only_the_first_counts():
    today = speed_change("same", 0.98, 1.0, 1.02, **OF_ADVICE, variant=NOW)
    formula = speed_change(*LESS, **OF_ADVICE, variant=FORMULA)
    assert worse(Changes(REFERENCE, REFERENCE, speeds=[formula, today])) == []
    today = replace(today, kind="changed", ratio=Interval(0.8, 0.7, 0.9))
    assert worse(Changes(REFERENCE, REFERENCE, speeds=[formula, today])) == [today]


@pytest.mark.parametrize(
    ("before", "after", "is_worse"),
    [
        ([], [HOLD], True),
        ([], [replace(HOLD, ms=BLOCKS_MS - 1)], False),
        ([], [], False),
        ([HOLD], [HOLD], False),
        ([HOLD], [], False),
        (None, [HOLD], False),  # an older file: nobody has looked
        ([], None, False),
    ],
)
def test_what_holds_the_loop_now_and_did_not_is_worse(before, after, is_worse):
    sides = (replace(REFERENCE, measurements=[replace(ROW, held=held)]) for held in (before, after))
    assert [one.hold for one in worse(changes(*sides))] == ([HOLD] if is_worse else [])
