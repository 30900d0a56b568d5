"""Which candidate is chosen, and how surely: made-up rounds whose truth is known."""

import random

import pytest

from comparisons.advice import FORMULA, NOW
from loadtests.advising.choosing import choose, in_doubt
from tests.support.made import made_round


def rounds(seed=1, blocks=8, noise=0.02, **rates):
    """Rounds of each candidate: so many answers a second, give or take the noise."""
    chance = random.Random(seed)
    return [
        made_round(
            variant=name,
            block=block,
            rate=rate * chance.gauss(1, noise),
            users=20,
            wait=None,
        )
        for block in range(1, blocks + 1)
        for name, rate in rates.items()
    ]


def test_much_better_candidate_is_chosen_with_its_factor():
    (choice,) = choose([FORMULA, "threads"], rounds(formula=50, threads=100))
    assert (choice.name, choice.base, choice.outcome) == ("threads", FORMULA, "better")
    assert choice.low < 2 < choice.high


def test_what_runs_now_stays_where_nothing_is_better():
    names = [NOW, FORMULA, "threads"]
    found = rounds(now=100, formula=50, threads=101)
    against_now, against_formula = choose(names, found)
    assert (against_now.name, against_now.base) == (NOW, NOW)
    assert against_now.low < 1 < against_now.high
    assert (against_formula.base, against_formula.outcome) == (FORMULA, "better")


def test_no_difference_to_the_formula_is_said():
    found = rounds(noise=0.005, formula=100, threads=101)
    (choice,) = choose([FORMULA, "threads"], found)
    assert (choice.name, choice.outcome) == (FORMULA, "same")


def test_same_for_less_memory_is_chosen_over_the_formula():
    found = rounds(noise=0.005, formula=100, threads=101)
    for round_ in found:
        if round_.variant == FORMULA:
            object.__setattr__(round_.server, "rss_mb", 200.0)
    (choice,) = choose([FORMULA, "threads"], found)
    assert (choice.name, choice.outcome) == ("threads", "same")


def test_rounds_that_spread_decide_nothing():
    (choice,) = choose([FORMULA, "threads"], rounds(noise=0.6, blocks=4, formula=50, threads=60))
    assert (choice.name, choice.outcome) == (FORMULA, "unknown")
    assert choice.low < 1 < choice.high


def test_cheaper_of_two_equals_is_chosen():
    found = rounds(noise=0.001, formula=50, threads=100, loops=100.2)
    for round_ in found:
        if round_.variant == "loops":
            object.__setattr__(round_.server, "rss_mb", 500.0)
    (choice,) = choose([FORMULA, "threads", "loops"], found)
    assert choice.name == "threads"


def test_candidate_with_failing_answers_is_out():
    found = rounds(formula=50, threads=100)
    for place, round_ in enumerate(found):
        if round_.variant == "threads":
            failed = [sample._replace(error="status 500") for sample in round_.samples]
            found[place] = made_round("threads", round_.block, samples=failed, users=20, wait=None)
    (choice,) = choose([FORMULA, "threads"], found)
    assert choice.name == FORMULA


def test_nothing_is_chosen_of_too_few_rounds():
    assert choose([FORMULA, "threads"], rounds(blocks=2, formula=50, threads=100)) == ()


def test_open_loop_is_chosen_by_its_latency():
    quick = [made_round("threads", block, rate=50, users=1, wait=None) for block in range(1, 7)]
    slow = []
    for round_ in quick:
        samples = [sample._replace(latency_ms=200.0) for sample in round_.samples]
        slow.append(made_round(FORMULA, round_.block, samples=samples, users=1, wait=None))
    found = [
        made_round(r.variant, r.block, samples=r.samples, rate=50, users=1, wait=None)
        for r in (*quick, *slow)
    ]
    for round_ in found:
        object.__setattr__(round_, "rate", 50.0)
    (choice,) = choose([FORMULA, "threads"], found)
    assert (choice.name, choice.outcome) == ("threads", "better")
    assert choice.factor == pytest.approx(4, rel=0.05)


def test_what_could_still_be_the_best_is_measured_on():
    found = rounds(noise=0.3, blocks=4, formula=50, threads=60, loops=10)
    doubted = in_doubt([FORMULA, "threads", "loops"], found)
    assert {FORMULA, "threads"} <= doubted
    assert "loops" not in doubted


def test_nothing_is_measured_on_that_is_decided():
    found = rounds(formula=50, threads=100)
    assert in_doubt([FORMULA, "threads"], found) == set()


def test_equal_candidates_are_seldom_called_better():
    """The best of five that are all the same: being chosen by luck must not look like a reason."""
    names = [NOW, FORMULA, "threads", "loops", "processes"]
    wrong = 0
    for seed in range(100):
        found = rounds(seed, noise=0.05, **dict.fromkeys(names, 80))
        wrong += any(choice.outcome == "better" for choice in choose(names, found))
    assert wrong <= 10  # 5 % of them, and what 100 tries may be above that
