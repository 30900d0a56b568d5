"""The page of what `manage.py advise` found of somebody's own project."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from comparisons import advice_sentences as sentences
from comparisons import result_store
from comparisons.advice import ADVICE, Advice, Candidate, Line, Profile, Sweep
from comparisons.advice_sentences import SERVED_BY
from comparisons.pages.advice_charts import REQUEST, SATURATION, SLOWEST
from comparisons.pages.language import in_readers_language
from comparisons.pages.pictures import Picture, pictures
from comparisons.pages.prose import capital, prose
from comparisons.pages.shown import ShownResult, ShownRow, advised, run_of
from comparisons.pages.views import _not_found, _page
from comparisons.reasons import reason
from comparisons.result import MISSING, Result, figure, interval, percentage
from comparisons.result_store import ResultError

# An outcome's sign, and the verdict whose colour it has.
SIGNS = {"better": ("✓", "holds"), "same": ("=", "inconclusive"), "unknown": ("?", "inconclusive")}
NAMES = {"python": "Python", "django": "Django"}
OF_ADVICE = (REQUEST, SATURATION, SLOWEST)


@dataclass(frozen=True)
class ShownLine:
    line: Line
    does: str
    waited: str


@dataclass(frozen=True)
class ShownRequest:
    """What a request of one kind is made of, under one interface."""

    profile: Profile
    served: str
    said: list[str]
    lines: list[ShownLine]  # but for those that hold the event loop
    held: list[ShownLine]
    hops: list[tuple[str, list[str]]]


@dataclass(frozen=True)
class ShownCandidate:
    """A way to serve, and what was measured of it: None where nothing was."""

    candidate: Candidate
    name: str
    shape: str
    served: str
    why: SafeString
    is_chosen: bool
    throughput: str
    interval: str
    ratio: str
    row: ShownRow | None


@in_readers_language
def advice(request: HttpRequest) -> HttpResponse:
    """Show what one run of `advise` found; without a name the newest, or how to have one."""
    paths = {path.name: path for path in result_store.newest_first(settings.RESULTS_DIR)}
    files = advised()
    name = request.GET.get("result", "") or next((name for name, _advice in files), "")
    if not name:
        return _page(request, "advice", files=[])
    if name not in paths:
        return _not_found(_("there is no result file {name!r} here").format(name=name))
    try:
        result = result_store.read(paths[name])
    except ResultError as error:
        return _not_found(f"{name}: {error.problem}")
    if not result.advice:
        return _not_found(_("{name} is no result of manage.py advise").format(name=name))
    charts = pictures(name, result, ADVICE)
    return _page(
        request, "advice", files=files, **shown_advice(name, result, result.advice, charts)
    )


def shown_advice(
    file: str, result: Result, advice: Advice, charts: Sequence[Picture]
) -> dict[str, Any]:
    """Return what the page and the report show of it; file: the name of the result's."""
    rows = [row for row in result.measurements if row.comparison == ADVICE]
    judged = [verdict for verdict in result.verdicts if verdict.comparison == ADVICE]
    measured = ShownResult(file, result, rows, judged)
    requests = [_request(profile) for profile in advice.profiles]
    chosen = sentences.recommended(advice)
    return {
        "advice": advice,
        "run": replace(
            run_of(file, result),
            versions=[(NAMES.get(name, name), said) for name, said in advice.versions.items()],
        ),
        "asks": [
            (name, percentage(f"{100 * share:.0f}") if share < 1 else "")
            for name, share in advice.asks.items()
        ],
        "load": sentences.load(advice),
        "middleware": [*sentences.of_middleware(advice)],
        "served_so": [reason(line) for line in advice.served_so],
        "chosen": chosen,
        "words": chosen.command.split(" ") if chosen else [],
        "why": _why(chosen) if chosen else "",
        "choices": [
            (
                *SIGNS[one.outcome],
                sentences.word_of(one),
                _begun(sentences.of_choice(one, advice.rate), one.name),
            )
            for one in advice.choices
        ],
        "requests": requests,
        "held": [request for request in requests if request.held],
        "has_loop": any(profile.interface == "asgi" for profile in advice.profiles),
        "candidates": [*_candidates(advice, measured, chosen)],
        "result": measured,
        "sweeps": [
            (
                sentences.name_of(sweep.candidate),
                _begun(sentences.of_sweep(sweep), sweep.candidate),
                _steps(sweep),
            )
            for sweep in advice.sweeps
        ],
        "is_quick": bool(result.options.get("quick")),
        "crossovers": [sentences.of_crossover(one, advice.profiles) for one in advice.crossovers],
        "computed": sentences.of_sync_views(advice.profiles),
        "request_charts": [one for one in charts if one.chart.name == REQUEST],
        "sweep_charts": [one for one in charts if one.chart.name in (SATURATION, SLOWEST)],
        "charts": [one for one in charts if one.chart.name not in OF_ADVICE],
    }


def _begun(said: str, name: str) -> str:
    """Begin a sentence with a capital, but not where a name of code is its first word."""
    return said if said.startswith(name) else capital(said)


def _why(candidate: Candidate) -> SafeString:
    return prose(reason(candidate.why))


def _request(profile: Profile) -> ShownRequest:
    lines = [
        ShownLine(one, sentences.does(one), sentences.waited_for(one)) for one in profile.lines
    ]
    return ShownRequest(
        profile=profile,
        served=_(SERVED_BY[profile.interface]),
        said=[*sentences.of_request(profile)],
        lines=[one for one in lines if one.line.kind != "holds"],
        held=[one for one in lines if one.line.kind == "holds"],
        hops=[*sentences.hops_of(profile)],
    )


def _candidates(
    advice: Advice, measured: ShownResult, chosen: Candidate | None
) -> Iterator[ShownCandidate]:
    shown = {row.variant: row for row in measured.rows}
    rows = {row.variant: row for row in measured.measurements}
    ratios = {one.expected.variant: one for one in measured.judged if one.expected}
    for candidate in advice.candidates:
        row, name = rows.get(candidate.name), candidate.name
        rate = row.throughput if row and row.valid else None
        yield ShownCandidate(
            candidate=candidate,
            name=_begun(sentences.name_of(candidate), name),
            shape=sentences.shape_of(candidate),
            served=_(SERVED_BY[candidate.interface]),
            why=_why(candidate),
            is_chosen=candidate is chosen,
            throughput=figure(rate.mean) if rate else "",
            interval=interval(rate.low, rate.high) if rate else "",
            ratio=sentences.of_ratio(ratios[name]) if rate and name in ratios else "",
            row=shown.get(name),
        )


def _steps(sweep: Sweep) -> list[tuple[str, ...]]:
    return [
        (
            figure(step.users),
            figure(step.throughput),
            figure(step.p50_ms),
            figure(step.p99_ms),
            figure(step.cpu),
            str(step.db_connections),
            percentage(figure(100 * step.failed)) if step.failed else MISSING,
        )
        for step in sweep.steps
    ]
