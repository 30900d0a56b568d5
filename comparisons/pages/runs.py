"""The pages of several runs: what changed between two of them, and all of them over time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from math import log2
from typing import Any, Literal, get_args
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from comparisons import result_store
from comparisons.advice import ADVICE
from comparisons.advice_sentences import TITLE
from comparisons.change_sentences import (
    by,
    differing_lines,
    expected_of,
    kinds,
    outcomes,
    reshaped_lines,
    speed_of,
    typical_speed,
    value,
    values,
)
from comparisons.changes import Blocking, Change, Changes, Interval, Kind, SpeedChange, counts
from comparisons.changes import changes as changes_between
from comparisons.pages.language import in_readers_language
from comparisons.pages.views import _not_found, _page
from comparisons.pairs import COMPARISONS
from comparisons.result import OUTCOMES, Outcome, Result, Verdict, Words
from comparisons.result_store import ResultError
from comparisons.sentences import held_sentences

RUNS = 8  # columns of the history: more are hard to read
LOOKED_AT = 40  # files in which they are looked for, the newest


Show = Literal["changed", "unclear", "same", "speeds"]
SHOWS: tuple[Show, ...] = get_args(Show)  # a list at a time: together they are a page of 400 kB
# Most runs have no rate that is given, and not every run looks at event loops.
ONLY_IF_ANY = ("latencies", "all-latencies", "blocking")


@dataclass(frozen=True)
class Run:
    file: str
    result: Result


# --- Two runs


@dataclass(frozen=True)
class Strip:
    """An interval as a picture, 200 wide, where no change is in the middle.

    Of a ratio it is from half to twice, as logarithms are; of a share from -50 to 50 points.
    """

    start: str
    width: str
    middle: str

    @classmethod
    def of(cls, change: Change | SpeedChange) -> "Strip | None":
        if change.ratio:
            middle, start, end = (
                _place(log2(times) if times else -1) for times in _ends(change.ratio)
            )
        elif isinstance(change, Change) and change.points:
            middle, start, end = (_place(2 * points) for points in _ends(change.points))
        else:
            return None
        return cls(f"{start:.0f}", f"{max(2, end - start):.0f}", f"{middle:.0f}")


def _ends(interval: Interval) -> tuple[float, float, float]:
    return interval.mean, interval.low, interval.high


def _place(change: float) -> float:
    return 100 + 100 * max(-1.0, min(1.0, change))


@dataclass(frozen=True)
class ShownChange:
    kind: Kind
    sign: str
    word: str
    title: str
    url: str
    what: str
    by: str
    values: str  # "" of what has come and was not there
    outcome: str  # of the verdict, then and now; "" of a speed
    strip: Strip | None


@in_readers_language
def changes(request: HttpRequest) -> HttpResponse:
    """Show what changed between two result files; the two newest if none are named."""
    names = [path.name for path in result_store.newest_first(settings.RESULTS_DIR)]
    asked = {side: request.GET.get(side, "") for side in ("before", "after")}
    for name in filter(None, asked.values()):
        if name not in names:
            return _not_found(_("there is no result file {name!r} here").format(name=name))
    show = request.GET.get("show", "changed")
    if show not in SHOWS:
        return _not_found(_("nothing is shown as {name!r}").format(name=show))
    notices: list[str] = []
    before, after = _two(names, asked["before"], asked["after"], notices)
    context: dict[str, Any] = {"names": names, "show": show, "before": before, "after": after}
    if before and after:
        try:
            with result_store.reading(settings.RESULTS_DIR / before.file):
                context |= _shown(changes_between(before.result, after.result), show)
        except ResultError as error:
            notices.append(
                _("{before} and {after} cannot be compared ({problem})").format(
                    before=before.file, after=after.file, problem=error.problem
                )
            )
        context["swapped"] = _address(after.file, before.file)
        context["shows"] = {name: _address(before.file, after.file, name) for name in SHOWS}
        context["is_older"] = after.result.started < before.result.started
    return _page(request, "changes", **context, notices=notices)


def _address(before: str, after: str, show: Show = "changed") -> str:
    query = {"before": before, "after": after} | ({} if show == "changed" else {"show": show})
    return f"{reverse('changes')}?{urlencode(query)}"


def _two(
    names: Sequence[str], before: str, after: str, notices: list[str]
) -> tuple[Run | None, Run | None]:
    """Read the runs of these names; in place of one without a name the newest other that fits."""
    chosen = {name: run for name in (before, after) if name and (run := _read(name, notices))}
    if after:
        earlier = names[names.index(after) + 1 :]
    else:
        earlier = [name for name in names if name != before]
    # A run of variants against themselves has expectations of its own.
    others = (
        run
        for name in earlier
        if name != before and (run := _read(name, notices)) and not run.result.options.get("null")
    )
    if before:
        return chosen.get(before), chosen.get(after) if after else next(others, None)
    if after:
        newest = chosen.get(after)
        return next((run for run in others if newest and _is_alike(run, newest)), None), newest
    seen: list[Run] = []
    for run in others:
        if newest := next((one for one in seen if _is_alike(run, one)), None):
            return run, newest
        seen.append(run)
    return None, seen[0] if seen else None


def _is_alike(one: Run, other: Run) -> bool:
    """Tell whether both are of one project: another's candidates say nothing of this one's."""
    return _project(one) == _project(other)


def _project(run: Run) -> str:
    """Return the folder of somebody's own project that it is of; "" is this one."""
    return run.result.advice.folder if run.result.advice else ""


def _read(name: str, notices: list[str]) -> Run | None:
    try:
        return Run(name, result_store.read(settings.RESULTS_DIR / name))
    except ResultError as error:
        notices.append(f"{name}: {error.problem}")
        return None


def _shown(found: Changes, show: Show) -> dict[str, Any]:
    """What the page shows of two runs: what changed, or else only what is asked for."""
    of_kind: dict[str, Sequence[Change | SpeedChange | Blocking]] = {
        "changed": [c for c in found.expectations if c.kind == "changed"],
        "judged": [c for c in found.expectations if c.outcome_changed and c.kind != "changed"],
        "unclear": [c for c in found.expectations if c.kind == "unclear"],
        "same": [c for c in found.expectations if c.kind == "same"],
        "speeds": [s for s in found.speeds if s.kind == "changed"],
        "all-speeds": found.speeds,
        "latencies": [late for late in found.latencies if late.kind == "changed"],
        "all-latencies": found.latencies,
        "blocking": found.blocking,
    }
    words = kinds()
    return {
        "counts": [(kind, words[kind], n) for kind, n in counts(found.expectations).items()],
        "speed_counts": [(kind, words[kind], n) for kind, n in counts(found.speeds).items()],
        "differing": differing_lines(found),
        "reshaped": reshaped_lines(found),
        "alone": [
            (_("Only before"), found.only_before, [*map(_named, found.gone)]),
            (_("Only after"), found.only_after, [*map(_named, found.new)]),
        ],
        "typical": typical_speed(found),
        "lists": [
            (name, heading, [_entry(change, words) for change in of_kind[name]])
            for name, heading in _headings(show).items()
            if of_kind[name] or name not in ONLY_IF_ANY
        ],
    }


def _headings(show: Show) -> dict[str, str]:
    """The lists that are shown, each with its heading."""
    match show:
        case "unclear":
            return {"unclear": _("What nobody can tell")}
        case "same":
            return {"same": _("What is the same")}
        case "speeds":
            return {
                "all-speeds": _("Requests a second, row by row"),
                "all-latencies": _("Median latency at a given rate, row by row"),
            }
    return {
        "changed": _("Changed"),
        "judged": _("Judged otherwise, but not surely changed"),
        "speeds": _("Requests a second that changed"),
        "latencies": _("Median latency at a given rate that changed"),
        "blocking": _("Holds its event loop now"),
    }


def _entry(change: Change | SpeedChange | Blocking, words: Mapping[Kind, Words]) -> ShownChange:
    return _blocking(change, words) if isinstance(change, Blocking) else _change(change, words)


def _blocking(found: Blocking, words: Mapping[Kind, Words]) -> ShownChange:
    slug = found.after.comparison
    (said,) = held_sentences([replace(found.after, held=[found.hold])])
    return ShownChange(
        kind="changed",
        sign=words["changed"].sign,
        word=words["changed"].counted,
        title=slug,
        url=_url(slug),
        what=speed_of(found.after),
        by=said,
        values="",
        outcome="",
        strip=None,
    )


def _change(change: Change | SpeedChange, words: Mapping[Kind, Words]) -> ShownChange:
    before, after = values(change)
    slug = change.after.comparison
    return ShownChange(
        kind=change.kind,
        sign=words[change.kind].sign,
        word=words[change.kind].counted,
        title=slug,
        url=_url(slug),
        what=speed_of(change.after)
        if isinstance(change, SpeedChange)
        else expected_of(change.after),
        by=by(change).replace(" %", "\N{NO-BREAK SPACE}%"),
        values=_("{before} before, {after} after").format(before=before, after=after),
        outcome="" if isinstance(change, SpeedChange) else outcomes(change),
        strip=Strip.of(change),
    )


def _named(verdict: Verdict) -> str:
    return f"{verdict.comparison}: {expected_of(verdict)}"


# --- All runs


@dataclass(frozen=True)
class Column:
    file: str
    named: bool  # by its user: the name says more than the time
    started: datetime
    commit: str
    changes: str  # since the run before: where they are shown


@dataclass(frozen=True)
class Group:
    """A comparison's expectations, each with its cells."""

    title: str
    url: str
    rows: list[tuple[str, SafeString]]


@in_readers_language
def history(request: HttpRequest) -> HttpResponse:
    """Show what each run has found of each expectation, or of those of one comparison."""
    slug = request.GET.get("comparison", "")
    paths = result_store.newest_first(settings.RESULTS_DIR)
    notices: list[str] = []
    runs: list[Run] = []
    for path in paths[:LOOKED_AT]:
        if run := _read(path.name, notices):
            of_slug = not slug or any(v.comparison == slug for v in run.result.verdicts)
            if of_slug and run.result.verdicts and not run.result.options.get("null"):
                runs.append(run)
    if slug not in (*COMPARISONS, ADVICE) and slug and not runs:
        return _not_found(_("there is no comparison {name!r}").format(name=slug))
    if not slug and any(not _project(run) for run in runs):
        runs = [run for run in runs if not _project(run)]  # those of `advise` have their own page
    runs.sort(key=lambda run: run.result.started, reverse=True)
    shown = runs[:RUNS]
    return _page(
        request,
        "history",
        slug=slug,
        titles=[
            *((known.slug, _(known.title)) for known in COMPARISONS.values()),
            (ADVICE, _(TITLE)),
        ],
        columns=[*_columns(shown)],
        groups=_groups(shown, slug),
        left_out=len(runs) - len(shown),
        unseen=len(paths[LOOKED_AT:]),
        looked_at=LOOKED_AT,
        notices=notices,
    )


def _columns(runs: Sequence[Run]) -> Iterator[Column]:
    for place, run in enumerate(runs):
        before = next((one for one in runs[place + 1 :] if _is_alike(one, run)), None)
        yield Column(
            file=run.file,
            named=not run.file[0].isdecimal(),
            started=run.result.started,
            commit=str(run.result.environment.get("commit", "")),
            changes=_address(before.file, run.file) if before else "",
        )


def _groups(runs: Sequence[Run], slug: str) -> list[Group]:
    """Expectations as the newest run that has them says them, in reading order."""
    # By comparison, and by whose project it is of.
    found: dict[tuple[str, str], dict[tuple[str, str], list[Verdict | None]]] = {}
    titles: dict[tuple[str, str], str] = {}
    for place, run in enumerate(runs):
        for verdict in run.result.verdicts:
            if slug in ("", verdict.comparison):
                key = verdict.expectation, str(verdict.deployment or "")
                group = verdict.comparison, _project(run)
                titles.setdefault(group, _title(run.result, verdict.comparison))
                rows = found.setdefault(group, {})
                rows.setdefault(key, [None] * len(runs))[place] = verdict
    order = {known: place for place, known in enumerate(COMPARISONS)}
    return [
        Group(
            title=titles[group],
            url=_url(group[0]),
            rows=[_row(verdicts) for verdicts in found[group].values()],
        )
        for group in sorted(found, key=lambda group: order.get(group[0], len(order)))
    ]


def _title(result: Result, slug: str) -> str:
    """Return what the comparison is called; of one that is not ours, as its run has declared it."""
    if slug in COMPARISONS:
        return _(COMPARISONS[slug].title)
    declared = next((row for row in result.declared if row.get("comparison") == slug), {})
    title = str(declared.get("title") or "")
    title = _(title) if title else slug
    return f"{result.advice.project}: {title}" if result.advice else title


def _row(verdicts: Sequence[Verdict | None]) -> tuple[str, SafeString]:
    """An expectation, and a cell for each run: empty where it was not judged.

    Thousands of cells: a template takes ten times as long for them.
    """
    known = [verdict for verdict in verdicts if verdict]
    metric = next((verdict.expected.metric for verdict in known if verdict.expected), "")
    before: Outcome | None = None
    cells = []
    for verdict in reversed(verdicts):  # from the oldest on
        if verdict is None:
            cells.append((NO_CELL, ""))
            continue
        otherwise = before not in (None, verdict.outcome)
        cells.append((_cell(verdict.outcome, otherwise), value(verdict, metric)))
        before = verdict.outcome
    return expected_of(known[0]), format_html_join("", "{}{}</td>", reversed(cells))


NO_CELL = mark_safe("<td>")


@lru_cache
def _cell(outcome: Outcome, otherwise: bool) -> SafeString:
    """The beginning of a cell."""
    return format_html(
        '<td class="number {}{}"><b>{}</b> ',
        outcome,
        " otherwise" if otherwise else "",
        OUTCOMES[outcome].sign,
    )


# --- Both


@lru_cache  # hundreds of lines have one
def _url(slug: str) -> str:
    """Where the comparison is shown; "" of one that is gone, or is not ours."""
    return reverse(slug) if slug in COMPARISONS else ""
