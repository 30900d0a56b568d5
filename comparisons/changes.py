"""What changed between two runs: each expectation and each measured speed, by an interval.

Changed: the 95 % interval of after / before lies wholly beyond 5 %; same: it lies wholly within;
can't tell: neither. "Is there any change at all?" is not asked: with rounds enough everything has.

Why 95 %. Two runs of one commit are to differ in 5 % of their expectations at most, and hundreds
are compared. Where the truth lies on the margin of 5 %, one interval in forty is wholly beyond it;
where nothing has changed, one in a hundred or less (tests/comparisons/test_changes.py counts both).
What is left of the 5 % is for what two runs differ in and the rounds of one do not show: a machine
that is otherwise loaded, the memory of a server that was started once. A view that is 20 % slower
is found 8 times in 10 where the rounds spread as they typically do in the reference run.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import comb, exp, inf, isfinite, log, sqrt
from statistics import median
from typing import Any, Literal

from comparisons.advice import ADVICE, NOW
from comparisons.confidence import ALPHA, confidence_at, left_out
from comparisons.registry import LIMITS, SHARES
from comparisons.result import Hold, Measurement, Result, Verdict, flat

MARGIN = 1.05
POINTS = 0.05  # the same of shares
ENOUGH = 20  # rounds of each run: more make chance no smaller than it is already
BLOCKS_MS = 10  # a request: what holds a loop for less may be seen in one run and not in the next

Kind = Literal["changed", "same", "unclear"]
KINDS: tuple[Kind, ...] = ("changed", "same", "unclear")
Part = Literal["environment", "options", "plan"]
Why = Literal["", "case", "older", "zero", "unmeasured"]
# What every two runs differ in.
EACH_ITS_OWN = ("load_average", "hosts")


@dataclass(frozen=True)
class Interval:
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Change:
    """What became of an expectation."""

    before: Verdict
    after: Verdict
    kind: Kind
    ratio: Interval | None = None  # of rates and times: after / before
    points: Interval | None = None  # of shares: after - before
    why: Why = ""  # there is no interval, of what is no limit

    @property
    def outcome_changed(self) -> bool:
        return self.before.outcome != self.after.outcome


@dataclass(frozen=True)
class SpeedChange:
    """What became of the requests/s of a row."""

    before: Measurement
    after: Measurement
    kind: Kind
    ratio: Interval


@dataclass(frozen=True)
class LatencyChange(SpeedChange):
    """What became of the median latency of a row of an open loop, whose requests/s are given."""


@dataclass(frozen=True)
class Blocking:
    """A row whose event loop something holds now, and nothing has held before."""

    after: Measurement
    hold: Hold  # the longest


@dataclass(frozen=True)
class Differing:
    """Something of how the runs were made; "" is what one of them does not say, or has not."""

    part: Part
    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Reshaped:
    """The rows of one variant on one deployment, which another shape served, or other users."""

    before: list[Measurement]
    after: list[Measurement]


@dataclass(frozen=True)
class Changes:
    before: Result
    after: Result
    differing: list[Differing] = field(default_factory=list)
    reshaped: list[Reshaped] = field(default_factory=list)
    expectations: list[Change] = field(default_factory=list)
    # Of comparisons that both have measured.
    gone: list[Verdict] = field(default_factory=list)
    new: list[Verdict] = field(default_factory=list)
    # Comparisons that one alone has measured.
    only_before: list[str] = field(default_factory=list)
    only_after: list[str] = field(default_factory=list)
    speeds: list[SpeedChange] = field(default_factory=list)
    latencies: list[LatencyChange] = field(default_factory=list)
    blocking: list[Blocking] = field(default_factory=list)

    @property
    def typical_speed(self) -> float | None:
        """The median of all ratios of requests/s: what a quicker machine does to every row."""
        return median(speed.ratio.mean for speed in self.speeds) if self.speeds else None


def counts(changed: Iterable[Change | SpeedChange]) -> dict[Kind, int]:
    kinds = [change.kind for change in changed]
    return {kind: kinds.count(kind) for kind in KINDS}


def worse(changes: Changes) -> list[Change | SpeedChange | Blocking]:
    """Return what a test is to fail for: what serves less, or later at a given rate, or blocks now.

    And what is refuted now.

    What costs more without any of that is shown among the changes. What `advise` expects is no
    difference between candidates: whatever refutes that is no loss.
    """
    changed = [one for one in _that_count(changes) if one.kind == "changed"]
    slower = [
        one
        for one in changed
        if (one.ratio.low > 1 if isinstance(one, LatencyChange) else one.ratio.high < 1)
    ]
    refuted = [
        one
        for one in changes.expectations
        if one.before.outcome == "holds" and one.after.outcome == "refuted"
        if one.after.comparison != ADVICE
    ]
    return [*changes.blocking, *slower, *refuted]


def _that_count(changes: Changes) -> list[SpeedChange]:
    """Leave out the candidates of `advise` beside what runs today, or that have another shape now.

    Nobody is served by them.
    """
    rows = [*changes.speeds, *changes.latencies]
    today = [one for one in rows if _of_advice(one) and one.after.variant == NOW]
    return today or [
        one for one in rows if not _of_advice(one) or _shape(one.before) == _shape(one.after)
    ]


def _of_advice(one: SpeedChange) -> bool:
    return one.after.comparison == ADVICE


def _shape(row: Measurement) -> tuple[str, int, int]:
    return row.deployment, row.workers, row.worker_threads


def changes(before: Result, after: Result) -> Changes:
    """Compare two results, each as its file has it."""
    plans = _Plan.of(before.plan), _Plan.of(after.plan)
    befores, afters = (
        {_key(verdict): verdict for verdict in result.verdicts} for result in (before, after)
    )
    slugs_before, slugs_after = (
        dict.fromkeys(row.comparison for row in result.measurements) for result in (before, after)
    )
    rows_before, rows_after = (
        {_row_key(row): row for row in result.measurements} for result in (before, after)
    )
    return Changes(
        before=before,
        after=after,
        differing=list(_differing(before, after)),
        reshaped=list(_reshaped(before.measurements, after.measurements)),
        expectations=[
            _change(befores[key], afters[key], plans) for key in afters if key in befores
        ],
        gone=[v for key, v in befores.items() if key not in afters and v.comparison in slugs_after],
        new=[v for key, v in afters.items() if key not in befores and v.comparison in slugs_before],
        only_before=[slug for slug in slugs_before if slug not in slugs_after],
        only_after=[slug for slug in slugs_after if slug not in slugs_before],
        speeds=[
            speed
            for key in rows_after
            if key in rows_before and (speed := _speed(rows_before[key], rows_after[key]))
        ],
        latencies=[
            latency
            for key in rows_after
            if key in rows_before and (latency := _latency(rows_before[key], rows_after[key]))
        ],
        blocking=[
            blocking
            for key in rows_after
            if key in rows_before and (blocking := _blocking(rows_before[key], rows_after[key]))
        ],
    )


def of_comparisons(result: Result, slugs: Sequence[str]) -> Result:
    """Leave of a result what it says of these comparisons; all if there are none."""
    if not slugs:
        return result
    return replace(
        result,
        measurements=[row for row in result.measurements if row.comparison in slugs],
        verdicts=[verdict for verdict in result.verdicts if verdict.comparison in slugs],
    )


def _key(verdict: Verdict) -> tuple[str, str, str]:
    return verdict.comparison, verdict.expectation, str(verdict.deployment or "")


def _row_key(row: Measurement) -> tuple[str, str, str, int, float, float | None]:
    return row.comparison, row.variant, row.deployment, row.users, row.round_trip, row.rate


# --- Rates and times


@dataclass(frozen=True)
class Logarithm:
    """A measured value's logarithm: the mean of its rounds, its standard error, its degrees."""

    mean: float
    error: float
    degrees: int


def logarithm(
    mean: float | None, low: float | None, high: float | None, rounds: int, confidence: float
) -> Logarithm | None:
    """Read an interval back to what it was made of; None where it has no logarithm.

    `loadtests.judging.intervals.geometric` makes it on the log scale: mean ± t × error, Student's t
    with a degree less than there are rounds kept (Tukey and McLaughlin, 1963). So the error is half
    its length over t. What was made otherwise comes out too wide, and never too narrow: on a linear
    scale, because of a round of zero, half the logarithm's length is artanh(x) > x; pool_wait's
    upper end has its resolution added.
    """
    degrees = rounds - 2 * left_out(rounds) - 1
    if not (mean and low and high) or low <= 0 or not low <= mean <= high or degrees < 1:
        return None
    t = _students_t(degrees, (1 + confidence) / 2)
    error = (log(high) - log(low)) / 2 / t if t > 0 else inf
    return Logarithm(log(mean), error, degrees) if isfinite(error) else None


def ratio(before: Logarithm, after: Logarithm, confidence: float = 1 - ALPHA) -> Interval:
    """Divide two independent values: the interval of after / before.

    The variance of a difference of logarithms is the sum of theirs, and has as many degrees as
    Welch (1947) and Satterthwaite (1946) give: variance² / (error₁⁴ / degrees₁ + error₂⁴ /
    degrees₂). The errors are not pooled, because the two runs need not be equally noisy.
    """
    change = after.mean - before.mean
    error = sqrt(before.error**2 + after.error**2)
    half = 0.0
    if error:
        shares = [(side.error / error) ** 2 for side in (before, after)]
        degrees = 1 / (shares[0] ** 2 / before.degrees + shares[1] ** 2 / after.degrees)
        half = error * _students_t(degrees, (1 + confidence) / 2)
    return Interval(*(_exp(change + way * half) for way in (0, -1, 1)))


def _students_t(degrees: float, probability: float) -> float:
    """The quantile of Student's t."""
    from scipy.special import stdtrit  # here, or each server that has pages would import it

    return float(stdtrit(degrees, probability))


def _exp(power: float) -> float:
    return exp(power) if power < 700 else inf


def kind_of(found: Interval, low: float, high: float) -> Kind:
    """changed: wholly outside the margins; same: wholly inside."""
    if found.low > high or found.high < low:
        return "changed"
    return "same" if found.low >= low and found.high <= high else "unclear"


def _kind_of_ratio(found: Interval) -> Kind:
    return kind_of(found, 1 / MARGIN, MARGIN)


@dataclass(frozen=True)
class _Plan:
    """After how many blocks a run looked, and how often it may be wrong in all."""

    looks: tuple[int, ...]
    alpha: float

    @classmethod
    def of(cls, plan: Mapping[str, Any]) -> "_Plan | None":
        """None of an older file, whose verdicts were judged in another way."""
        try:
            return cls(tuple(map(int, plan["looks"])), float(plan["alpha"]))
        except (LookupError, TypeError, ValueError):
            return None

    def confidence(self, rounds: int) -> float:
        """The confidence of the look that so many rounds came to.

        Where rounds were invalid it may have been a later one, whose confidence is greater: then
        the error comes out too large, and never too small.
        """
        look = next((n for n, blocks in enumerate(self.looks, 1) if blocks >= rounds), 0)
        return confidence_at(look or max(1, len(self.looks)), self.alpha)


def _change(before: Verdict, after: Verdict, plans: Sequence[_Plan | None]) -> Change:
    expected = before.expected or after.expected
    if before.measured is None or after.measured is None:
        return Change(before, after, "unclear", why="unmeasured")
    if expected is None or min(before.rounds, after.rounds) < 1:
        return Change(before, after, "unclear", why="older")
    if before.expected and after.expected and before.expected.case != after.expected.case:
        return Change(before, after, "unclear", why="case")
    if expected.metric in LIMITS:
        return Change(before, after, _kind_of_limits(before, after))
    if expected.metric in SHARES:
        points = difference(_interval(before), _interval(after))
        return Change(before, after, kind_of(points, -POINTS, POINTS), points=points)
    logarithms = []
    for verdict, plan in zip((before, after), plans, strict=True):
        if plan is None:
            return Change(before, after, "unclear", why="older")
        confidence = plan.confidence(verdict.rounds)
        logarithms.append(
            logarithm(verdict.measured, verdict.low, verdict.high, verdict.rounds, confidence)
        )
    mine, theirs = logarithms
    if mine is None or theirs is None:
        return Change(before, after, "unclear", why="zero")
    by = ratio(mine, theirs)
    return Change(before, after, _kind_of_ratio(by), ratio=by)


def _speed(before: Measurement, after: Measurement) -> SpeedChange | None:
    """None of rows that do not count, or of which a rate says nothing."""
    if not (before.valid and after.valid) or before.waiting or after.waiting:
        return None
    mine, theirs = (
        logarithm(
            row.throughput.mean, row.throughput.low, row.throughput.high, row.rounds, 1 - ALPHA
        )
        for row in (before, after)
    )
    if mine is None or theirs is None:
        return None
    by = ratio(mine, theirs)
    return SpeedChange(before, after, _kind_of_ratio(by), by)


def _latency(before: Measurement, after: Measurement) -> LatencyChange | None:
    """None of rows that do not count, whose users ask when they are answered, or of older files."""
    if not (before.valid and after.valid) or before.rate is None:
        return None
    mine, theirs = (
        logarithm(
            row.latency_ms.mean, row.latency_ms.low, row.latency_ms.high, row.rounds, 1 - ALPHA
        )
        for row in (before, after)
    )
    if mine is None or theirs is None:
        return None
    by = ratio(mine, theirs)
    return LatencyChange(before, after, _kind_of_ratio(by), by)


def _blocking(before: Measurement, after: Measurement) -> Blocking | None:
    """None where the loop was held before, or is not, or one of the runs has not looked."""
    longest = max(after.held or (), key=lambda hold: hold.ms, default=None)
    if before.held != [] or longest is None or longest.ms < BLOCKS_MS:
        return None
    return Blocking(after, longest)


# --- Shares


def _interval(verdict: Verdict) -> Interval:
    mean = verdict.measured or 0
    return Interval(
        mean,
        0 if verdict.low is None else verdict.low,
        1 if verdict.high is None else verdict.high,
    )


def difference(before: Interval, after: Interval) -> Interval:
    """Subtract two independent shares, whose ratio would be unbounded where none failed.

    Newcombe (1998), method 10, with the file's intervals (Clopper and Pearson's, of clusters) in
    place of Wilson's: each end is as far away as the two nearer ends of the sides together, by
    Pythagoras. Theirs are of at least 96.7 % (a first look): so is, at least, the difference's.
    The margin is of points, not of the share: a twentieth of one in a hundred nobody can see.
    """
    mean = after.mean - before.mean
    return Interval(
        mean,
        mean - sqrt((after.mean - after.low) ** 2 + (before.high - before.mean) ** 2),
        mean + sqrt((after.high - after.mean) ** 2 + (before.mean - before.low) ** 2),
    )


# --- Limits


def _kind_of_limits(before: Verdict, after: Verdict) -> Kind:
    """Compare the ranges of the rounds, of which nothing is trimmed, as the verdicts do.

    Same: they end at the same, to 5 %. Changed: they are more than 5 % apart, and that would come
    by chance in 5 % of all cases at most.
    """
    if None in (before.low, before.high, after.low, after.high):
        return "unclear"
    lows, highs = (before.low or 0, after.low or 0), (before.high or 0, after.high or 0)
    if all(max(ends) <= MARGIN * min(ends) for ends in (lows, highs)):
        return "same"
    apart = lows[1] > MARGIN * highs[0] or MARGIN * highs[1] < lows[0]
    constant = lows == highs
    if apart and chance_apart(before.rounds, after.rounds, constant) <= ALPHA:
        return "changed"
    return "unclear"


def chance_apart(before: int, after: int, constant: bool) -> float:
    """How likely so many rounds, all of one kind, fall into two ranges that do not touch.

    Of all ways to deal them to the runs two set the lowest apart: Wilcoxon's rank sum (1945) at its
    extreme. Where each run has seen one value only, a kind of round that takes them equally often
    is the worst: 2 (n₁/n)^n₁ (n₂/n)^n₂, which three rounds of each are enough for.
    """
    before, after = min(before, ENOUGH), min(after, ENOUGH)
    together = before + after
    if constant:
        return float(2 * (before / together) ** before * (after / together) ** after)
    return 2 / comb(together, before)


# --- What else differs


def _differing(before: Result, after: Result) -> Iterator[Differing]:
    parts: list[tuple[Part, dict[str, Any], dict[str, Any]]] = [
        ("environment", flat(before.environment), flat(after.environment)),
        ("options", before.options, after.options),
        ("plan", before.plan, after.plan),
    ]
    for part, mine, theirs in parts:
        for name in dict.fromkeys((*mine, *theirs)):
            was, now = (_written(values.get(name)) for values in (mine, theirs))
            if was != now and not _is_each_its_own(name):
                yield Differing(part, name, was, now)


def _is_each_its_own(name: str) -> bool:
    """Tell whether it differs from run to run: also a line of several, `hosts 1`."""
    return name in EACH_ITS_OWN or name.rpartition(" ")[0] in EACH_ITS_OWN


def _written(value: Any) -> str:
    if value is None or value is False or value == []:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _reshaped(before: Iterable[Measurement], after: Iterable[Measurement]) -> Iterator[Reshaped]:
    befores, afters = _by_place(before), _by_place(after)
    for place, rows in afters.items():
        others = befores.get(place, rows)
        if {_served(row) for row in others} != {_served(row) for row in rows}:
            yield Reshaped(others, rows)


def _by_place(rows: Iterable[Measurement]) -> dict[tuple[str, str, str], list[Measurement]]:
    by_place: dict[tuple[str, str, str], list[Measurement]] = {}
    for row in rows:
        by_place.setdefault((row.comparison, row.variant, row.deployment), []).append(row)
    return by_place


def _served(row: Measurement) -> tuple[str, int, float, float | None]:
    return row.shape, row.users, row.round_trip, row.rate
