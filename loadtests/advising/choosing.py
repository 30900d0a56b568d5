"""What to run, from the rounds of all candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from statistics import median

from comparisons.advice import FORMULA, NOW, Choice, Outcome
from comparisons.confidence import ALPHA
from loadtests.judging import intervals, validity
from loadtests.judging.intervals import Interval
from loadtests.judging.metrics import latencies_ms, throughput
from loadtests.judging.rounds import Round

SAME = 0.05  # "no difference": within so much
CHEAPER = 0.75  # of the memory: by less it is no reason
MIN_ROUNDS = 3
BEYOND = 1e6  # in place of no number, which JSON has none for


@dataclass(frozen=True)
class Measured:
    """A candidate's rounds that count: what it serves (or how fast, in an open loop), by block.

    Larger is better. cost: MB, over all its processes.
    """

    name: str
    by_block: Mapping[int, float]
    cost: float

    @classmethod
    def of(cls, name: str, rounds: Sequence[Round]) -> "Measured":
        good = [round_ for round_ in rounds if not validity.why_invalid(round_, None)]
        return cls(
            name,
            {round_.block: speed(round_) for round_ in good if speed(round_) > 0},
            median(round_.server.rss_mb for round_ in good) if good else 0,
        )


def speed(round_: Round) -> float:
    """Return answers a second; of an open loop, whose rate is given, the inverse of the latency."""
    if round_.rate is None:
        return throughput(round_)
    found = latencies_ms(round_)
    return 1000 / intervals.percentile(found, 50) if found else 0


def choose(names: Sequence[str], rounds: Sequence[Round]) -> tuple[Choice, ...]:
    """Choose one of the candidates, and compare it with NOW, if there is one, and with FORMULA.

    The best of those that count, or the one that needs least memory of those surely within SAME of
    it; but NOW (without one, FORMULA) stays where nothing is surely better, for who changes nothing
    needs no reason. Being the best of several is partly luck, and so each interval is right for all
    comparisons together (Bonferroni).
    """
    found = [Measured.of(name, [r for r in rounds if r.variant == name]) for name in names]
    found = [one for one in found if len(one.by_block) >= MIN_ROUNDS]
    if not found:
        return ()
    confidence = 1 - ALPHA / max(1, len(found) - 1)
    best = _best(found)
    equal = [one for one in found if one is best or ratio(one, best, confidence).low >= 1 - SAME]
    bases = [one for base in (NOW, FORMULA) for one in found if one.name == base]
    chosen = min(equal, key=lambda one: one.cost)
    if bases and not _is_worth_it(chosen, bases[0], confidence):
        other = chosen if chosen is not bases[0] else best
        kept = _choice(other, bases[0], confidence)
        return (
            replace(kept, name=bases[0].name),
            *(_choice(bases[0], base, confidence) for base in bases[1:]),
        )
    return tuple(_choice(chosen, base, confidence) for base in bases)


def in_doubt(names: Sequence[str], rounds: Sequence[Round]) -> set[str]:
    """Return the candidates of which more rounds could change the choice; none where it is sure.

    What it is compared with, as far as that is not known, and all that may yet be the best.
    """
    choices = choose(names, rounds)
    if choices and all(choice.outcome != "unknown" for choice in choices):
        return set()
    found = [Measured.of(name, [r for r in rounds if r.variant == name]) for name in names]
    found = [one for one in found if one.by_block]
    if not found:
        return set()
    best = _best(found)
    open_ = {name for one in choices if one.outcome == "unknown" for name in (one.name, one.base)}
    return open_ | {one.name for one in found if ratio(one, best, 1 - ALPHA).high >= 1}


def _best(found: Sequence[Measured]) -> Measured:
    return max(found, key=lambda one: intervals.geometric([*one.by_block.values()], 0.95).mean)


def _is_worth_it(chosen: Measured, base: Measured, confidence: float) -> bool:
    """Tell whether it is surely better than the base, or surely the same for much less memory."""
    if chosen is base:
        return False
    found = outcome(ratio(chosen, base, confidence))
    cheaper = base.name == FORMULA and chosen.cost <= CHEAPER * base.cost
    return found == "better" or (found == "same" and cheaper)


def _choice(chosen: Measured, base: Measured, confidence: float) -> Choice:
    if chosen is base:
        return Choice(chosen.name, base.name, "same", 1, 1, 1)
    found = ratio(chosen, base, confidence)
    values = (found.mean, found.low, found.high)
    rounded = [round(value, 4) if isfinite(value) else BEYOND for value in values]
    return Choice(chosen.name, base.name, outcome(found), *rounded)


def outcome(found: Interval) -> Outcome:
    """Say what the interval of a ratio means: within SAME of 1, all above it, or not known."""
    if found.low >= 1 - SAME and found.high <= 1 + SAME:
        return "same"
    return "better" if found.low > 1 else "unknown"


def ratio(one: Measured, other: Measured, confidence: float) -> Interval:
    blocks = [block for block in one.by_block if block in other.by_block]
    if len(blocks) < MIN_ROUNDS:
        return Interval(float("nan"), 0, float("inf"))
    return intervals.paired_ratio(
        [one.by_block[block] for block in blocks],
        [other.by_block[block] for block in blocks],
        confidence,
    )
