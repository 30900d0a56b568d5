"""From rounds to verdicts: does the measurement agree with an expectation, and how surely?

Three kinds of quantity: rates and times, from the spread between rounds; shares, from the answers;
limits, "never more than", from the extreme of all rounds.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, isfinite, isnan, log, nan

from comparisons.confidence import ALPHA, confidence_at
from comparisons.registry import LIMITS, SHARES, THEORY
from comparisons.result import Expected, Outcome, Verdict, rounded
from loadtests.judging.declared import Declared
from loadtests.judging.intervals import Interval, geometric, paired_ratio, share, times
from loadtests.judging.metrics import METRICS, theory
from loadtests.judging.rounds import Round
from loadtests.judging.validity import agreed_digest, why_insufficient, why_invalid

# "None fails" holds when none of so many failed that a share of a tenth is excluded: no number of
# answers excludes every share, and the sentence says which one these do.
RARE = 0.1
# psycopg_pool adds up whole milliseconds of each wait, rounded down.
POOL_WAIT_RESOLUTION_MS = 1
MANY_ROUNDS = 1_000  # more than anybody waits for
# So many times the plan's rounds may be needed by an estimate from four, and yet be enough.
FUTILE = 3


def outcome_of(interval: Interval, low: float | None, high: float | None) -> Outcome:
    """holds: the whole interval is within the bounds; refuted: all of it is outside."""
    if (low is not None and interval.high < low) or (high is not None and interval.low > high):
        return "refuted"
    if (low is None or interval.low >= low) and (high is None or interval.high <= high):
        return "holds"
    return "inconclusive"


def judge_comparison(
    declared: Declared, measured: Sequence[Round], looks: Sequence[int], alpha: float = ALPHA
) -> list[Verdict]:
    """Judge each expectation on each deployment that its view was measured on.

    looks: after which blocks the rounds so far were looked at. What a look has decided stays so.
    """
    return list(_judge_each(declared, measured, looks, alpha))


def decided(verdicts: Iterable[Verdict]) -> int:
    """How many hold or are refuted."""
    return sum(verdict.outcome in ("holds", "refuted") for verdict in verdicts)


def in_doubt(
    declared: Declared, measured: Sequence[Round], looks: Sequence[int]
) -> set[tuple[str, int, float]]:
    """The rows (variant, users, round trip) that an expectation without a verdict yet speaks of.

    But for those that the looks to come would hardly decide: time is better spent on others.
    """
    return {
        (variant, *verdict.expected.case)
        for verdict in _judge_each(declared, measured, looks, ALPHA)
        if verdict.expected and verdict.outcome not in ("holds", "refuted")
        if verdict.needed_rounds is None or verdict.needed_rounds <= FUTILE * looks[-1]
        for variant in (verdict.expected.variant, verdict.expected.of)
        if variant is not None
    }


def _judge_each(
    declared: Declared, measured: Sequence[Round], looks: Sequence[int], alpha: float
) -> Iterator[Verdict]:
    for expectation in declared.expectations:
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
            if verdict := judge_expectation(expectation, pair, looks, alpha):
                if len(places) > 1:
                    name = f"{verdict.expectation} on {place}"
                    verdict = replace(verdict, expectation=name, deployment=place)
                yield verdict


def _deployments_of(measured: Sequence[Round], variant: str | None) -> list[str]:
    return sorted({r.deployment for r in measured if r.variant == variant})


def judge_expectation(
    expectation: Expected, measured: Sequence[Round], looks: Sequence[int], alpha: float = ALPHA
) -> Verdict | None:
    """Judge one expectation, look by look; None if one of its sides was not to be measured.

    measured: the comparison's rounds, with one deployment for each variant.
    """
    sides = Sides.of(expectation, measured)
    if not sides:
        return None
    digest = agreed_digest(measured)
    last = max(round_.block for round_ in (*sides.mine, *sides.theirs))
    for number, (before, look) in enumerate(pairwise((-1, *looks)), 1):
        if last <= before:
            break  # nothing more was measured of it
        verdict = _judge_once(sides.until(look), digest, confidence_at(number, alpha))
        if verdict.outcome in ("holds", "refuted"):
            break
    return verdict


@dataclass(frozen=True)
class Sides:
    """The rounds that an expectation speaks of. theirs: of the other variant, if there is one."""

    expectation: Expected
    mine: list[Round]
    theirs: list[Round]

    @classmethod
    def of(cls, expectation: Expected, measured: Sequence[Round]) -> "Sides | None":
        mine, theirs = (
            [
                round_
                for round_ in measured
                if round_.variant == name and (round_.users, round_.round_trip) == expectation.case
            ]
            for name in (expectation.variant, expectation.of)
        )
        if not mine or (expectation.of not in (None, *THEORY) and not theirs):
            return None
        return cls(expectation, mine, theirs)

    def until(self, block: int) -> "Sides":
        mine, theirs = (
            [round_ for round_ in rounds if round_.block <= block]
            for rounds in (self.mine, self.theirs)
        )
        return Sides(self.expectation, mine, theirs)


def _judge_once(sides: Sides, digest: int | None, confidence: float) -> Verdict:
    expectation = sides.expectation
    verdict = Verdict(
        comparison=sides.mine[0].comparison,
        expectation=expectation.text,
        outcome="invalid",
        measured=None,
        low=None,
        high=None,
        because="",
        expected=expectation,
    )
    if reasons := [
        f"{side[0].variant}: {reason}"
        for side in (sides.mine, sides.theirs)
        if side
        for reason in why_insufficient(side, digest)
    ]:
        return replace(verdict, because="; ".join(reasons))
    mine, theirs = (
        # Of a round and its repeat at most one counts.
        {round_.block: round_ for round_ in rounds if not why_invalid(round_, digest)}
        for rounds in (sides.mine, sides.theirs)
    )
    if expectation.metric in LIMITS:
        return _judge_limit(verdict, expectation, [*mine.values()])
    if expectation.metric in SHARES:
        return _judge_share(verdict, expectation, [*mine.values()], confidence)
    return _judge_times(verdict, expectation, mine, theirs, confidence)


def _judge_limit(verdict: Verdict, expectation: Expected, rounds: list[Round]) -> Verdict:
    """Judge "never more than", or "always at least": one round that is beyond refutes it."""
    values = [METRICS[expectation.metric](round_) for round_ in rounds]
    if any(map(isnan, values)):
        return replace(verdict, because=f"{expectation.metric} was not measured in every round")
    low, high = min(values), max(values)
    within = (expectation.low is None or low >= expectation.low) and (
        expectation.high is None or high <= expectation.high
    )
    return replace(
        verdict,
        outcome="holds" if within else "refuted",
        measured=rounded(low if expectation.high is None else high),
        low=rounded(low),
        high=rounded(high),
        because=f"{len(values)} rounds",
        rounds=len(values),
    )


def _judge_share(
    verdict: Verdict, expectation: Expected, rounds: list[Round], confidence: float
) -> Verdict:
    """A share is one of the window's answers; "none" speaks of all that were asked for."""
    none = expectation.high == 0
    counts = [
        (sum(sample.failed for sample in samples), len(samples))
        for samples in (round_.samples if none else round_.due() for round_ in rounds)
    ]
    answers = sum(n for _, n in counts)
    found = share(counts, confidence)
    outcome = outcome_of(found, expectation.low, expectation.high)
    open_because = "more answers"
    if none and not found.mean:
        outcome = "holds" if found.high <= RARE else "inconclusive"
        enough = ceil(log((1 - confidence) / 2) / log(1 - RARE))
        open_because = f"{enough} answers of which none fails"
    return replace(
        verdict,
        outcome=outcome,
        measured=rounded(found.mean),
        low=rounded(found.low),
        high=rounded(found.high),
        because=f"{answers} answers in {len(counts)} rounds",
        rounds=len(counts),
        answers=answers,
        open_because=open_because if outcome == "inconclusive" else "",
    )


def _judge_times(
    verdict: Verdict,
    expectation: Expected,
    mine: dict[int, Round],
    theirs: dict[int, Round],
    confidence: float,
) -> Verdict:
    """Rates and times; their ratio block by block."""
    metric, of = METRICS[expectation.metric], expectation.of
    measured = {block: metric(round_) for block, round_ in mine.items()}
    others: dict[int, float] = {}
    if of in THEORY:
        others = {block: theory(round_, of) for block, round_ in mine.items()}
    elif of is not None:
        others = {block: metric(round_) for block, round_ in theirs.items()}
    known = [
        block
        for block, value in measured.items()
        if not isnan(value) and (of is None or not isnan(others.get(block, nan)))
    ]
    if len(known) < 2:
        return replace(verdict, because=f"{expectation.metric} was measured in no two rounds")
    values = [measured[block] for block in known]
    kind = "rounds"
    if of is None:
        found = times(values, confidence)
        if expectation.metric == "pool_wait":
            found = replace(found, high=found.high + POOL_WAIT_RESOLUTION_MS)
    elif of in THEORY:
        found = geometric([measured[block] / others[block] for block in known], confidence)
    else:
        found = paired_ratio(values, [others[block] for block in known], confidence)
        kind = "paired rounds"
    outcome = outcome_of(found, expectation.low, expectation.high)
    verdict = replace(
        verdict,
        outcome=outcome,
        measured=rounded(found.mean),
        low=rounded(found.low),
        high=rounded(found.high),
        because=f"{len(known)} {kind}",
        rounds=len(known),
    )
    if outcome != "inconclusive":
        return verdict
    needed = _needed_rounds(found, expectation, len(known))
    return replace(verdict, needed_rounds=needed, open_because=_what_decides(needed, len(known)))


def _needed_rounds(found: Interval, expectation: Expected, rounds: int) -> int | None:
    """Estimate how many rounds would decide it, if they spread as those so far; None is unknown.

    An interval is as wide as one over the root of their number; it has to end before the nearest
    bound.
    """
    bounds = [bound for bound in (expectation.low, expectation.high) if bound]
    if not (found.low > 0 and isfinite(found.high) and bounds):
        return None
    away = min(abs(log(found.mean / bound)) for bound in bounds)
    width = (log(found.high) - log(found.low)) / 2  # their ratio may be more than a float holds
    return min(MANY_ROUNDS, ceil(rounds * (width / max(away, 1e-6)) ** 2))


def _what_decides(needed: int | None, rounds: int) -> str:
    if needed is None:
        return "rounds that spread less"
    if needed >= MANY_ROUNDS:
        return "no number of rounds: it lies on the bound"
    more = max(1, needed - rounds)
    return f"about {more} more round{'s' if more > 1 else ''} like these"
