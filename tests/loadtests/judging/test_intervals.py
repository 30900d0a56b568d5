"""Statistics, against answers worked by hand, scipy's, and known distributions."""

from math import inf

import numpy as np
import pytest

from comparisons.confidence import confidence_at
from loadtests.judging.intervals import (
    geometric,
    paired_ratio,
    percentile,
    share,
    times,
    trimmed_mean,
)


def test_percentile_is_linear_between_neighbours():
    assert percentile([1, 2, 3, 4], 50) == 2.5
    assert percentile([10, 20], 99) == pytest.approx(19.9)


def test_interval_of_four_values_is_students():
    # mean 5, s = sqrt(20/3) = 2.582, s/sqrt(4) = 1.291, t(0.975, 3) = 3.1824: half-width 4.108
    interval = trimmed_mean([2, 4, 6, 8], 0.95)
    assert interval.mean == 5
    assert interval.low == pytest.approx(5 - 4.108, abs=1e-3)
    assert interval.high == pytest.approx(5 + 4.108, abs=1e-3)


def test_interval_of_eleven_values_is_that_of_scipy():
    from scipy.stats import mstats  # here, for its import takes a second in every worker

    values = [3.1, 4.1, 5.9, 2.6, 5.3, 5.8, 9.7, 9.3, 2.3, 84.6, 6.2]
    low, high = mstats.trimmed_mean_ci(values, limits=(0.2, 0.2), alpha=0.05)
    interval = trimmed_mean(values, 0.95)
    assert (interval.low, interval.high) == (pytest.approx(low), pytest.approx(high))


def test_one_bad_round_in_six_does_not_move_the_mean():
    assert trimmed_mean([10, 10, 10, 10, 10, 1000], 0.95).mean == 10


def test_one_value_has_no_interval():
    assert trimmed_mean([7], 0.95).low == -inf
    assert geometric([7], 0.95).high == inf


def test_geometric_mean_of_a_ratio_and_its_inverse_is_one():
    assert geometric([4, 0.25], 0.95).mean == pytest.approx(1)


@pytest.mark.parametrize("bad", [0, -1, inf])
def test_value_without_a_logarithm_makes_the_interval_unbounded(bad):
    interval = geometric([1, 2, bad], 0.95)
    assert (interval.low, interval.high) == (0, inf)


def test_pairing_cancels_what_slows_a_whole_block():
    slowness = [1, 10, 3, 7]
    ratio = paired_ratio([6 * s for s in slowness], [2 * s for s in slowness], 0.95)
    assert (ratio.low, ratio.mean, ratio.high) == pytest.approx((3, 3, 3))


@pytest.mark.parametrize("rounds", [3, 4, 5, 8, 10])
@pytest.mark.parametrize("tail", ["normal", "heavy"])
def test_95_percent_interval_misses_at_most_one_time_in_twenty(rounds, tail):
    rng = np.random.default_rng(rounds)
    trials = 1000
    noise = (
        rng.normal(size=(trials, rounds))
        if tail == "normal"
        else rng.standard_t(2, (trials, rounds))
    )
    misses = sum(not i.low <= 0 <= i.high for i in (trimmed_mean(row, 0.95) for row in noise))
    # 50 expected; binomial, sigma 6.9: 67 is two and a half of them above.
    assert misses <= 67


def test_looks_spend_the_five_percent_and_no_more():
    assert confidence_at(1) == pytest.approx(1 - 0.05 * 2 / 3)
    assert confidence_at(2) == pytest.approx(1 - 0.05 * 2 / 9)
    assert sum(1 - confidence_at(look) for look in range(1, 30)) == pytest.approx(0.05)


def test_rate_of_zero_has_an_interval_without_a_logarithm():
    interval = times([0, 0, 3], 0.95)
    assert (interval.mean, interval.low) == (1, 0)


# --- Shares


def test_share_of_three_in_ten_is_clopper_and_pearsons():
    # The textbook's 0.0667 to 0.6525
    interval = share([(3, 10)], 0.95)
    assert (interval.low, interval.high) == (
        pytest.approx(0.0667, abs=1e-4),
        pytest.approx(0.6525, abs=1e-4),
    )


def test_none_of_thirty_excludes_a_share_of_twelve_percent():
    # 1 - 0.025 ** (1 / 30)
    interval = share([(0, 10), (0, 10), (0, 10)], 0.95)
    assert (interval.mean, interval.low) == (0, 0)
    assert interval.high == pytest.approx(0.1157, abs=1e-4)


def test_all_of_thirty_is_the_mirror_image():
    interval = share([(10, 10)] * 3, 0.95)
    assert (interval.low, interval.high) == (pytest.approx(1 - 0.1157, abs=1e-4), 1)


def test_rounds_that_differ_are_clusters():
    """5 and 0 and 0 of 10 each are 5 of 30, but of fewer answers than 30."""
    together, apart = share([(5, 30)], 0.95), share([(5, 10), (0, 10), (0, 10)], 0.95)
    assert together.mean == apart.mean
    assert apart.low < together.low < together.high < apart.high


@pytest.mark.parametrize("rounds", [3, 4, 8, 12])
@pytest.mark.parametrize(
    ("truth", "correlation"), [(0.02, 0), (0.3, 0), (0.3, 0.2), (0.9, 0), (0.9, 0.1)]
)
def test_share_misses_at_most_one_time_in_twenty(rounds, truth, correlation):
    """Answers of a round are alike: beta-binomial, with this correlation within a round."""
    rng = np.random.default_rng(rounds)
    trials, answers = 1000, 40
    spread = 1 / correlation - 1 if correlation else 0
    shares = (
        rng.beta(truth * spread, (1 - truth) * spread, (trials, rounds))
        if correlation
        else np.full((trials, rounds), truth)
    )
    counts = rng.binomial(answers, shares)
    found = [share([(int(k), answers) for k in row], 0.95) for row in counts]
    misses = sum(not interval.low <= truth <= interval.high for interval in found)
    assert misses <= 67  # as above
