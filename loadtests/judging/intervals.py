"""From samples to percentiles, means and intervals: pure functions.

A round is the unit: its samples are not independent of each other (they queue behind one another),
so an interval comes from the spread between rounds, never from the spread within one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, isfinite, log, sqrt

import numpy as np
from scipy.special import stdtrit

# scipy.stats has trim_mean and mstats.trimmed_mean_ci, but they trim five and ten values by a whole
# fifth (see trimmed_mean), and take half a second to import, which `compare --list` would wait for.

TRIM = 0.2  # the share of rounds left out at each end, so that a few bad ones move nothing


@dataclass(frozen=True)
class Interval:
    mean: float
    low: float
    high: float


def confidence_at_each(looks: int) -> float:
    """The confidence at each look so that all of them are right together 95 times in 100.

    Each has its equal share of the 5 % (Bonferroni).
    """
    return 1 - 0.05 / looks


def percentile(values: Sequence[float], q: float) -> float:
    """The q-th percentile (0..100) of raw values, linear between neighbours; NaN of none."""
    return float(np.percentile(values, q)) if len(values) else float("nan")


def trimmed_mean(values: Sequence[float], confidence: float) -> Interval:
    """The mean without the lowest and highest fifth, and its confidence interval.

    Tukey and McLaughlin (1963), also in Wilcox, "Introduction to Robust Estimation", 4.3: Student's
    t with h - 1 degrees of freedom, h the number of values kept, and the winsorized variance. Below
    six values nothing is trimmed: the ordinary t interval. (Trimming five or ten values by a whole
    fifth misses 7 % of the time instead of 5 %, by simulation; hence n - 1.) One value: ±inf.
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    n, cut = len(ordered), int(TRIM * (len(ordered) - 1))
    kept = ordered[cut : n - cut]
    mean = float(kept.mean())
    if n < 2:
        return Interval(mean, -inf, inf)
    spread = float(np.clip(ordered, kept[0], kept[-1]).std(ddof=1))
    error = spread / ((1 - 2 * TRIM if cut else 1) * sqrt(n))
    half = float(stdtrit(len(kept) - 1, (1 + confidence) / 2)) * error
    return Interval(mean, mean - half, mean + half)


def geometric(values: Sequence[float], confidence: float) -> Interval:
    """`trimmed_mean` on the log scale, where ratios and times are nearer to symmetry.

    Values must be positive; one that is not makes the interval unbounded.
    """
    if any(value <= 0 or not isfinite(value) for value in values):
        return Interval(float("nan"), 0, inf)
    logs = trimmed_mean([log(value) for value in values], confidence)
    return Interval(exp(logs.mean), exp(logs.low), exp(logs.high) if logs.high < 700 else inf)


def paired_ratio(
    numerators: Sequence[float], denominators: Sequence[float], confidence: float
) -> Interval:
    """The ratio of two quantities that were measured in the same blocks, block by block.

    Pairing cancels whatever slows a whole block; the random order within a block makes what is left
    as likely to favour one side as the other.
    """
    pairs = zip(numerators, denominators, strict=True)
    return geometric([a / b if b > 0 else inf for a, b in pairs], confidence)
