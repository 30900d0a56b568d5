"""What changed between two runs, as sentences: the same in terminal and pages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from comparisons.changes import (
    Change,
    Changes,
    Differing,
    Interval,
    Kind,
    LatencyChange,
    SpeedChange,
    Why,
)
from comparisons.registry import LIMITS, SHARES
from comparisons.result import (
    MISSING,
    OUTCOMES,
    Measurement,
    Verdict,
    Words,
    figure,
    in_digits,
    percentage,
)
from comparisons.sentences import MANY_TIMES, PHRASES, expectation_sentence

OPTIONS = {"minutes": "--for"}


@dataclass(frozen=True)
class Line:
    """A thing in which the runs differ."""

    name: str
    before: str
    after: str


def kinds() -> dict[Kind, Words]:
    """The sign of each kind, and what follows its count."""
    return {
        "changed": Words("≠", _("changed")),
        "same": Words("=", _("same")),
        "unclear": Words("?", _("can't tell")),
    }


def count_line(counted: dict[Kind, int]) -> str:
    """For instance `3 changed, 80 same, 4 can't tell`."""
    return ", ".join(f"{counted[kind]} {words.counted}" for kind, words in kinds().items())


def expected_of(verdict: Verdict) -> str:
    """What was expected, and where; its name where the file says no more than that."""
    expected = verdict.expected
    if expected is None or expected.metric not in (*PHRASES, *SHARES):
        return verdict.expectation
    place = verdict.deployment
    said = expectation_sentence(expected)
    return _("{expectation} on {place}").format(expectation=said, place=place) if place else said


def by(change: Change | SpeedChange) -> str:
    """By how much it changed, and how sure that is; why nobody can tell; "" of a limit."""
    if change.ratio:
        return _by_ratio(change.ratio)
    if isinstance(change, SpeedChange):
        return ""
    return _by_points(change.points) if change.points else why(change.why)


def _by_ratio(ratio: Interval) -> str:
    if not (ratio.low > 0 and isfinite(ratio.high)):
        return _("any ratio is possible")
    if ratio.mean < MANY_TIMES:
        text = _("{mean} % of what it was (95 % sure of {low} to {high} %)")
        unit = 100
    else:
        text = _("{mean} times what it was (95 % sure of {low} to {high})")
        unit = 1
    return text.format(
        mean=figure(unit * ratio.mean),
        low=figure(unit * ratio.low),
        high=figure(unit * ratio.high),
    )


def _by_points(points: Interval) -> str:
    mean, low, high = (
        ("+" if value > 0 else "") + figure(100 * value)
        for value in (points.mean, points.low, points.high)
    )
    return _("{mean} points (95 % sure of {low} to {high})").format(mean=mean, low=low, high=high)


def why(reason: Why) -> str:
    """Why nothing can be said of it."""
    return {
        "": "",
        "case": _("measured with other users, or at another distance"),
        "older": _("one of the files is of a version that did not say how it was judged"),
        "zero": _("it comes so near to 0 that any ratio is possible"),
        "unmeasured": _("it was not measured both times"),
    }[reason]


def values(change: Change | SpeedChange) -> tuple[str, str]:
    """What was measured before, and now: of a limit the range of all rounds."""
    if isinstance(change, LatencyChange):
        mine, theirs = (
            f"{figure(row.latency_ms.mean)} ms" for row in (change.before, change.after)
        )
        return mine, theirs
    if isinstance(change, SpeedChange):
        mine, theirs = (figure(row.throughput.mean) for row in (change.before, change.after))
        return mine, theirs
    metric = next((v.expected.metric for v in (change.before, change.after) if v.expected), "")
    before, after = (value(verdict, metric) for verdict in (change.before, change.after))
    return before, after


def value(verdict: Verdict, metric: str) -> str:
    """The figure of a verdict, as short as a cell of a table."""
    if verdict.measured is None:
        return MISSING
    if metric in SHARES:
        return percentage(figure(100 * verdict.measured))
    if metric in LIMITS and verdict.low != verdict.high:
        return f"{_limit(verdict.low)}–{_limit(verdict.high)}"
    return _limit(verdict.measured) if metric in LIMITS else figure(verdict.measured)


def _limit(number: float | None) -> str:
    return MISSING if number is None else in_digits(f"{number:,.4g}")


def outcomes(change: Change) -> str:
    """For instance `held before, refuted after`."""
    before, after = (
        _(OUTCOMES[verdict.outcome].counted) for verdict in (change.before, change.after)
    )
    if not change.outcome_changed:
        return _("{outcome} both times").format(outcome=after)
    return _("{before} before, {after} after").format(before=before, after=after)


def differing_lines(changes: Changes) -> list[Line]:
    """Versions, machine, commit, options and plan, as far as they differ."""
    return [
        Line(_named(one), one.before or MISSING, one.after or MISSING) for one in changes.differing
    ]


def _named(one: Differing) -> str:
    """An option as it was written, `--round-trip`; of the plan that it is its."""
    if one.part == "options":
        return OPTIONS.get(one.name, f"--{one.name.replace('_', '-')}")
    return _("plan: {name}").format(name=one.name) if one.part == "plan" else one.name


def speed_of(row: Measurement) -> str:
    """Whose speed it is: `cpu-bound/sync on wsgi-threads, 10 users`."""
    return _("{row} on {deployment}, {load}").format(
        row=f"{row.comparison}/{row.variant}", deployment=row.deployment, load=load(row)
    )


def typical_speed(changes: Changes) -> str:
    """What became of all speeds together, and why that may say nothing; "" if there are none."""
    typical = changes.typical_speed
    if typical is None:
        return ""
    return _(
        "Requests a second are typically {percent} % of what they were. On a shared machine all "
        "speeds drift from run to run: what is compared within a run drifts less."
    ).format(percent=figure(100 * typical))


def reshaped_lines(changes: Changes) -> list[Line]:
    """What served each row, and what loaded it, as far as it differs."""
    lines = []
    for rows in changes.reshaped:
        name = f"{rows.after[0].comparison}/{rows.after[0].variant}"
        for what, say in ((_("processes × threads"), _shape), (_("load"), load)):
            before, after = (_each(side, say) for side in (rows.before, rows.after))
            if before != after:
                lines.append(Line(f"{name}: {what}", before, after))
    return lines


def _each(rows: Sequence[Measurement], say: Callable[[Measurement], str]) -> str:
    return "; ".join(dict.fromkeys(map(say, rows)))


def _shape(row: Measurement) -> str:
    return row.shape


def load(row: Measurement) -> str:
    """For instance `10 users, 5 ms away`."""
    if row.rate:
        said = _("{rate} requests/s asked for").format(rate=in_digits(f"{row.rate:g}"))
    else:
        users = in_digits(f"{row.users:,}")
        said = ngettext("{users} user", "{users} users", row.users).format(users=users)
    if row.round_trip:
        said += _(", {distance} ms away").format(distance=in_digits(f"{row.round_trip:g}"))
    return said
