"""How often the whole procedure (looks, pairing, interval, verdict) is wrong, by simulation.

The truth lies exactly on the threshold, so that both `holds` and `refuted` are false. A nominal
95 % interval may be wrong that way in 5 % of 1,000 runs. The seed is fixed, chosen once.
"""

from dataclasses import replace

import numpy as np
import pytest

from comparisons.confidence import confidence_at
from loadtests.judging.intervals import geometric, paired_ratio, share
from loadtests.judging.verdicts import outcome_of
from loadtests.running.schedule import FULL, QUICK, Plan

RUNS = 1000
VARIANTS = 4  # of which two are compared


def independent(rng, rounds):
    return rng.normal(0, 0.05, rounds)


def drifting(rng, rounds):
    """A machine that gets slower and slower: by 3 % a round, and noise."""
    return -0.03 * np.arange(rounds) + rng.normal(0, 0.05, rounds)


def correlated(rng, rounds):
    """Disturbances that last for many rounds: an AR(1) process with a coefficient of 0.9."""
    noise = rng.normal(0, 0.05, rounds)
    for place in range(1, rounds):
        noise[place] += 0.9 * noise[place - 1]
    return noise


def unequal(rng, rounds):
    """Every second turn is ten times as noisy as the others."""
    return rng.normal(0, 0.02, rounds) * np.where(np.arange(rounds) % 2, 10, 1)


def spiked(rng, rounds):
    """One round in ten is three times as slow."""
    return rng.normal(0, 0.05, rounds) - np.log(3) * (rng.random(rounds) < 0.1)


NOISES = [independent, drifting, correlated, unequal, spiked]


def false_verdicts(noise, plan, runs=RUNS, confidence_of=confidence_at):
    """Of so many comparisons of two equal variants against "at least 1", how many decide."""
    rng = np.random.default_rng(5)
    wrong = 0
    for _ in range(runs):
        speed = np.exp(noise(rng, VARIANTS * plan.looks[-1])).reshape(-1, VARIANTS)
        # In a block, each variant takes its turn at random.
        places = np.array([rng.permutation(VARIANTS)[:2] for _ in speed])
        ours, theirs = (speed[np.arange(len(speed)), places[:, side]] for side in (0, 1))
        for number, look in enumerate(plan.looks, 1):
            interval = paired_ratio(ours[:look], theirs[:look], confidence_of(number))
            if outcome_of(interval, 1, None) != "inconclusive":
                wrong += 1
                break
    return wrong


@pytest.mark.parametrize("plan", [FULL, QUICK], ids=["full", "quick"])
@pytest.mark.parametrize("noise", NOISES)
def test_ratio_on_the_threshold_is_decided_in_five_percent_at_most(noise, plan):
    assert false_verdicts(noise, plan) <= 0.05 * RUNS


LONGER = replace(FULL, looks=FULL.longer().looks[:8])  # 108 blocks


@pytest.mark.long
@pytest.mark.parametrize("plan", [FULL, QUICK, LONGER], ids=["full", "quick", "longer"])
@pytest.mark.parametrize("noise", NOISES)
def test_false_verdicts_stay_within_chance_of_five_percent(noise, plan):
    """So many runs that no seed decides: three standard deviations of the count are allowed."""
    runs = 20 * RUNS
    allowed = 0.05 * runs + 3 * (runs * 0.05 * 0.95) ** 0.5
    assert false_verdicts(noise, plan, runs) <= allowed


def test_looking_after_every_block_would_decide_falsely_more_often():
    """What the fixed looks are for: the same intervals, looked at again and again."""
    peeking = Plan(window=0.25, looks=tuple(range(3, 13)))
    assert false_verdicts(independent, peeking, confidence_of=lambda look: 0.95) > 0.1 * RUNS


def test_real_difference_of_a_fifth_is_found_on_a_noisy_machine():
    rng = np.random.default_rng(3)
    found = 0
    for _ in range(200):
        noise = rng.normal(0, 0.03, (FULL.looks[-1], 2))
        interval = paired_ratio(np.exp(noise[:, 0] + np.log(1.2)), np.exp(noise[:, 1]), 0.975)
        found += outcome_of(interval, 1.1, None) == "holds"
    assert found > 150


# --- The other kinds of quantity


@pytest.mark.parametrize("plan", [FULL, QUICK], ids=["full", "quick"])
def test_value_on_the_threshold_is_decided_in_five_percent_at_most(plan):
    """A latency against its wait: unpaired, and so without drift, which no interval can know of."""
    rng = np.random.default_rng(6)
    wrong = 0
    for _ in range(RUNS):
        values = np.exp(rng.normal(0, 0.05, plan.looks[-1]))
        intervals = (
            geometric(values[:look], confidence_at(number))
            for number, look in enumerate(plan.looks, 1)
        )
        wrong += any(outcome_of(interval, 1, None) != "inconclusive" for interval in intervals)
    assert wrong <= 0.05 * RUNS


@pytest.mark.parametrize("plan", [FULL, QUICK], ids=["full", "quick"])
@pytest.mark.parametrize("correlation", [0, 0.1])
def test_share_on_the_threshold_is_decided_in_five_percent_at_most(plan, correlation):
    """Half of 30 answers a round fail, or of answers that are alike within a round."""
    rng = np.random.default_rng(7)
    wrong = 0
    for _ in range(RUNS):
        spread = (1 / correlation - 1) / 2 if correlation else 0
        rounds = plan.looks[-1]
        truth = rng.beta(spread, spread, rounds) if correlation else np.full(rounds, 0.5)
        counts = [(int(k), 30) for k in rng.binomial(30, truth)]
        intervals = (
            share(counts[:look], confidence_at(number)) for number, look in enumerate(plan.looks, 1)
        )
        wrong += any(outcome_of(interval, 0.5, None) != "inconclusive" for interval in intervals)
    assert wrong <= 0.05 * RUNS
