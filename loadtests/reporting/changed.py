"""What `compare --against` prints: what changed between two runs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from rich.console import Console
from rich.text import Text

from comparisons.change_sentences import (
    by,
    count_line,
    differing_lines,
    expected_of,
    kinds,
    outcomes,
    reshaped_lines,
    speed_of,
    typical_speed,
    values,
)
from comparisons.changes import Blocking, Change, Changes, SpeedChange, counts, worse
from comparisons.result import Verdict
from comparisons.sentences import held_sentences
from loadtests.reporting.terminal import wrapped

FEW = 6  # comparisons or rows that are listed
Lines = Iterator[tuple[str, str]]


def print_changes(changes: Changes, before: str, after: str, console: Console) -> None:
    """Print what changed; what is the same, and what nobody can tell, is counted only.

    before, after: what the two results are called.
    """
    for first, line in _lines(changes, before, after):
        text = wrapped(line, console.width, first=first)
        console.print(Text(text), soft_wrap=True, highlight=False)


def print_against(changes: Changes, before: str, after: str, console: Console, check: bool) -> bool:
    """Print what changed, how much did, and with --check what a test is to fail for.

    Return whether there is anything of that.
    """
    print_changes(changes, before, after, console)
    print(count_line(counts(changes.expectations)))
    found = worse(changes)
    for first, line in _headed("Worse than before", _worse(found)) if check else ():
        text = wrapped(line, console.width, first=first)
        console.print(Text(text, "red"), soft_wrap=True, highlight=False)
    return bool(found)


def _lines(changes: Changes, before: str, after: str) -> Lines:
    """Yield what each paragraph begins with, and what it says."""
    yield from _headed(f"From {before} (before) to {after} (after)", _differing(changes))
    changed = [change for change in changes.expectations if change.kind == "changed"]
    judged = [
        change
        for change in changes.expectations
        if change.kind != "changed" and change.outcome_changed
    ]
    yield from _headed("Changed", _each(changed))
    yield from _headed("Judged otherwise, but not surely changed", _each(judged))
    yield from _headed(f"Only in {before}", _alone(changes.only_before, changes.gone))
    yield from _headed(f"Only in {after}", _alone(changes.only_after, changes.new))
    if changes.speeds:
        fast = [speed for speed in changes.speeds if speed.kind == "changed"]
        yield from _headed(
            typical_speed(changes), chain(_each(fast), [("  ", count_line(counts(changes.speeds)))])
        )
    late = [one for one in changes.latencies if one.kind == "changed"]
    yield from _headed("Median latency at a given rate", _each(late))
    yield from _headed("Holds its event loop now", _blocking(changes.blocking))
    yield "", ""


def _headed(heading: str, lines: Iterable[tuple[str, str]]) -> Lines:
    found = list(lines)
    if found:
        yield "", ""
        yield "", heading
        yield from found


def _differing(changes: Changes) -> Lines:
    lines, rows = differing_lines(changes), reshaped_lines(changes)
    for line in [*lines, *rows[:FEW]]:
        yield "  ", f"{line.name}: {line.before} before, {line.after} after"
    if more := len(rows[FEW:]):
        yield "  ", f"and so on: {more} more rows were served or loaded otherwise"
    if not lines and not rows:
        yield "  ", "with the same versions, options, plan and shapes"


def _worse(found: Iterable[Change | SpeedChange | Blocking]) -> Lines:
    for one in found:
        yield from _blocking([one]) if isinstance(one, Blocking) else _each([one])


def _blocking(found: Iterable[Blocking]) -> Lines:
    sign = kinds()["changed"].sign
    for one in found:
        yield f"{sign} ", speed_of(one.after)
        (said,) = held_sentences([replace(one.after, held=[one.hold])])
        yield "  ", said


def _each(changed: Iterable[Change | SpeedChange]) -> Lines:
    sign = {kind: f"{words.sign} " for kind, words in kinds().items()}
    for change in changed:
        was, now = values(change)
        figures = f"{was} before, {now} after"
        if isinstance(change, SpeedChange):
            yield sign[change.kind], speed_of(change.after)
        else:
            yield sign[change.kind], f"{change.after.comparison}: {expected_of(change.after)}"
            figures = f"{figures}; {outcomes(change)}"
        if said := by(change):
            yield "  ", said
        yield "  ", figures


def _alone(slugs: Sequence[str], verdicts: Sequence[Verdict]) -> Lines:
    if slugs:
        yield "  ", ", ".join(slugs) if len(slugs) <= FEW else f"{len(slugs)} comparisons"
    for verdict in verdicts:
        yield "- ", f"{verdict.comparison}: {expected_of(verdict)}"
