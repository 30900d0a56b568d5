"""From samples to percentiles, means and intervals: pure functions.

A round is the unit: its samples are not independent of each other (they queue behind one another),
so an interval comes from the spread between rounds, never from the spread within one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, isfinite, log, nan, sqrt

import numpy as np
from scipy.special import betaincinv, ndtri, stdtrit

from comparisons.confidence import TRIM, left_out

# scipy.stats has trim_mean and mstats.trimmed_mean_ci, but they trim five and ten values by a whole
# fifth (see trimmed_mean), and take half a second to import, which `compare --list` would wait for.


@dataclass(frozen=True)
class Interval:
    mean: float
    low: float
    high: float


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
    n, cut = len(ordered), left_out(len(ordered))
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


def times(values: Sequence[float], confidence: float) -> Interval:
    """The interval of rates or times: on the log scale, unless one of them is 0."""
    positive = all(value > 0 for value in values)
    found = (geometric if positive else trimmed_mean)(values, confidence)
    return Interval(found.mean, max(0.0, found.low), found.high)


def share(counts: Sequence[tuple[int, int]], confidence: float) -> Interval:
    """The share of so many (of so many) in each round, all rounds together.

    Clopper and Pearson (1934): exact for independent answers; none of n excludes 1 - (a/2)^(1/n)
    and more. Rounds are clusters, as in Korn and Graubard (1998): as many answers count as would
    spread as the rounds did (no more than there were), fewer still for what Student's t with a
    degree of freedom less than there are rounds is wider than the normal.
    """
    found, answers = sum(k for k, _ in counts), sum(n for _, n in counts)
    if not answers:
        return Interval(nan, 0, 1)
    mean, rounds, tail = found / answers, len(counts), (1 - confidence) / 2
    effective = float(answers)
    if rounds > 1 and 0 < mean < 1:
        spread = sum((k - mean * n) ** 2 for k, n in counts) * rounds / (rounds - 1) / answers**2
        design_effect = max(1, spread / (mean * (1 - mean) / answers))
        effective *= float(ndtri(tail) / stdtrit(rounds - 1, tail)) ** 2 / design_effect
    k, rest = mean * effective, (1 - mean) * effective
    low = float(betaincinv(k, rest + 1, tail)) if k else 0
    high = float(betaincinv(k + 1, rest, 1 - tail)) if rest else 1
    return Interval(mean, low, high)


def paired_ratio(
    numerators: Sequence[float], denominators: Sequence[float], confidence: float
) -> Interval:
    """The ratio of two quantities that were measured in the same blocks, block by block.

    Pairing cancels whatever slows a whole block; the random order within a block makes what is left
    as likely to favour one side as the other.
    """
    pairs = zip(numerators, denominators, strict=True)
    return geometric([a / b if b > 0 else inf for a, b in pairs], confidence)
