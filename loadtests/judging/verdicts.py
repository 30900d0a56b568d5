"""From rounds to verdicts: does the measurement agree with an expectation, and how surely?"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite, nan
from typing import Literal

from comparisons.registry import THEORY
from loadtests.judging import rounds
from loadtests.judging.declared import Declared, Expected
from loadtests.judging.intervals import Interval, geometric, paired_ratio, trimmed_mean
from loadtests.judging.rounds import METRICS, Round

Word = Literal["holds", "refuted", "inconclusive", "invalid"]
SIGNS: dict[Word, str] = {"holds": "✓", "refuted": "✗", "inconclusive": "?", "invalid": "–"}


@dataclass(frozen=True)
class Verdict:
    comparison: str
    expectation: str
    verdict: Word
    measured: float | None
    low: float | None
    high: float | None
    because: str


def judge(interval: Interval, low: float | None, high: float | None) -> Word:
    """holds: the whole interval is within the bounds; refuted: all of it is outside."""
    if (low is not None and interval.high < low) or (high is not None and interval.low > high):
        return "refuted"
    if (low is None or interval.low >= low) and (high is None or interval.high <= high):
        return "holds"
    return "inconclusive"


def agreed_digest(measured: Sequence[Round]) -> int | None:
    """The body that most variants answer with; a variant has one voice, not one an answer."""
    voices = {
        (*round_.row, sample.digest)
        for round_ in measured
        for sample in round_.answers()
        if not sample.error
    }
    most = Counter(digest for *_, digest in voices).most_common(1)
    return most[0][0] if most else None


def why_invalid(of_row: Sequence[Round], digest: int | None) -> list[str]:
    """Why a variant's rounds do not suffice: less than half of them, or fewer than two, count."""
    reasons = {round_.block: rounds.invalid_because(round_, digest) for round_ in of_row}
    good = sum(not because for because in reasons.values())
    if of_row and good >= 2 and 2 * good >= len(of_row):
        return []
    found = list(dict.fromkeys(reason for because in reasons.values() for reason in because))
    return found or [f"{good} rounds only"]


def verdict(expectation: Expected, measured: Sequence[Round], confidence: float) -> Verdict | None:
    """The verdict of one expectation; None if one of its sides was not to be measured.

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
        for reason in why_invalid(side, digest)
    ]
    if reasons:
        return Verdict(slug, name, "invalid", None, None, None, "; ".join(reasons))

    metric = METRICS[expectation.metric]
    good = {(r.variant, r.block): r for r in of_case if not rounds.invalid_because(r, digest)}
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
        judge(interval, expectation.low, expectation.high),
        _number(interval.mean),
        _number(interval.low),
        _number(interval.high),
        because,
    )


def judged(declared: Declared, measured: Sequence[Round], confidence: float) -> list[Verdict]:
    """Each expectation's verdict, on each deployment that its view was measured on."""
    return [found for _, found in _judged(declared, measured, confidence)]


def in_doubt(
    declared: Declared, measured: Sequence[Round], confidence: float
) -> set[tuple[str, int, float]]:
    """The rows (variant, users, round trip) that an expectation without a verdict yet speaks of."""
    return {
        (variant, *expectation.case)
        for expectation, found in _judged(declared, measured, confidence)
        if found.verdict not in ("holds", "refuted")
        for variant in (expectation.variant, expectation.of)
        if variant is not None
    }


def _judged(
    declared: Declared, measured: Sequence[Round], confidence: float
) -> Iterator[tuple[Expected, Verdict]]:
    for expectation in declared.expectations:
        if expectation.metric == "throughput" and any(round_.rate for round_ in measured):
            continue  # an open loop's throughput is what was asked for
        variant, of = expectation.variant, expectation.of
        places = deployments_of(measured, variant)
        other_places = deployments_of(measured, of)
        for place in places:
            other = place if place in other_places else next(iter(other_places), None)
            pair = [
                round_
                for round_ in measured
                if (round_.variant != variant or round_.deployment == place)
                and (round_.variant != of or round_.deployment == other)
            ]
            found_one = verdict(expectation, pair, confidence)
            if found_one:
                name = found_one.expectation + (f" on {place}" if len(places) > 1 else "")
                yield expectation, replace(found_one, expectation=name)


def deployments_of(measured: Sequence[Round], variant: str | None) -> list[str]:
    return sorted({r.deployment for r in measured if r.variant == variant})


def theory(round_: Round, of: str) -> float:
    """What theory gives, in the metric's unit: ms for wait and work, requests/s for the ceiling."""
    if of == "ceiling":
        value = round_.ceiling
    else:
        seconds = round_.wait if of == "wait" else round_.work
        value = None if seconds is None else 1000 * seconds
    if not value:
        raise ValueError(f"{round_.comparison}/{round_.variant} declares no {of}")
    return value


def _number(value: float) -> float | None:
    """JSON has no infinity and no NaN."""
    return value if isfinite(value) else None
