"""From rounds to verdicts: does the measurement agree with an expectation, and how surely?"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import nan

from comparisons.registry import THEORY
from comparisons.result import Expected, Outcome, Verdict, rounded
from loadtests.judging.declared import Declared
from loadtests.judging.intervals import Interval, geometric, paired_ratio, trimmed_mean
from loadtests.judging.metrics import METRICS, theory
from loadtests.judging.rounds import Round
from loadtests.judging.validity import agreed_digest, why_insufficient, why_invalid


def outcome_of(interval: Interval, low: float | None, high: float | None) -> Outcome:
    """holds: the whole interval is within the bounds; refuted: all of it is outside."""
    if (low is not None and interval.high < low) or (high is not None and interval.low > high):
        return "refuted"
    if (low is None or interval.low >= low) and (high is None or interval.high <= high):
        return "holds"
    return "inconclusive"


def judge_comparison(
    declared: Declared, measured: Sequence[Round], confidence: float
) -> list[Verdict]:
    """Judge each expectation on each deployment that its view was measured on."""
    return [verdict for _, verdict in _judge_each(declared, measured, confidence)]


def in_doubt(
    declared: Declared, measured: Sequence[Round], confidence: float
) -> set[tuple[str, int, float]]:
    """The rows (variant, users, round trip) that an expectation without a verdict yet speaks of."""
    return {
        (variant, *expectation.case)
        for expectation, verdict in _judge_each(declared, measured, confidence)
        if verdict.outcome not in ("holds", "refuted")
        for variant in (expectation.variant, expectation.of)
        if variant is not None
    }


def _judge_each(
    declared: Declared, measured: Sequence[Round], confidence: float
) -> Iterator[tuple[Expected, Verdict]]:
    for expectation in declared.expectations:
        if expectation.metric == "throughput" and any(round_.rate for round_ in measured):
            continue  # an open loop's throughput is what was asked for
        variant, of = expectation.variant, expectation.of
        places = _deployments_of(measured, variant)
        other_places = _deployments_of(measured, of)
        for place in places:
            other = place if place in other_places else next(iter(other_places), None)
            pair = [
                round_
                for round_ in measured
                if (round_.variant != variant or round_.deployment == place)
                and (round_.variant != of or round_.deployment == other)
            ]
            verdict = judge_expectation(expectation, pair, confidence)
            if verdict:
                name = verdict.expectation + (f" on {place}" if len(places) > 1 else "")
                yield expectation, replace(verdict, expectation=name)


def _deployments_of(measured: Sequence[Round], variant: str | None) -> list[str]:
    return sorted({r.deployment for r in measured if r.variant == variant})


def judge_expectation(
    expectation: Expected, measured: Sequence[Round], confidence: float
) -> Verdict | None:
    """Judge one expectation; None if one of its sides was not to be measured.

    measured: the comparison's rounds, with one deployment for each variant.
    """
    view, of = expectation.variant, expectation.of
    of_case = [
        round_ for round_ in measured if (round_.users, round_.round_trip) == expectation.case
    ]
    mine = [round_ for round_ in of_case if round_.variant == view]
    theirs = [round_ for round_ in of_case if round_.variant == of]
    ratio_of_variants = of is not None and of not in THEORY
    if not mine or (not theirs and ratio_of_variants):
        return None
    slug, name = mine[0].comparison, expectation.text
    digest = agreed_digest(measured)
    reasons = [
        f"{side[0].variant}: {reason}"
        for side in (mine, theirs)
        if side
        for reason in why_insufficient(side, digest)
    ]
    if reasons:
        return Verdict(slug, name, "invalid", None, None, None, "; ".join(reasons))

    metric = METRICS[expectation.metric]
    good = {(r.variant, r.block): r for r in of_case if not why_invalid(r, digest)}
    my_rounds = {block: r for (variant, block), r in good.items() if variant == view}
    if of is None:
        interval = trimmed_mean([metric(r) for r in my_rounds.values()], confidence)
        because = f"{len(my_rounds)} rounds"
    elif not ratio_of_variants:
        interval = geometric([metric(r) / theory(r, of) for r in my_rounds.values()], confidence)
        because = f"{len(my_rounds)} rounds"
    else:
        blocks = [block for block in my_rounds if (of, block) in good]
        interval = (
            paired_ratio(
                [metric(good[view, block]) for block in blocks],
                [metric(good[of, block]) for block in blocks],
                confidence,
            )
            if blocks
            else Interval(nan, 0, nan)
        )
        because = f"{len(blocks)} paired rounds"
    return Verdict(
        slug,
        name,
        outcome_of(interval, expectation.low, expectation.high),
        rounded(interval.mean),
        rounded(interval.low),
        rounded(interval.high),
        because,
    )
