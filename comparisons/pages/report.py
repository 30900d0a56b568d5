"""A result as one HTML file: what the pages show, with charts and styles in it, and no script."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify

from comparisons.advice import ADVICE
from comparisons.pages import shown, source
from comparisons.pages.advising import shown_advice
from comparisons.pages.pictures import Picture, drawn
from comparisons.pages.prose import prose
from comparisons.pages.source import Shared, ShownView
from comparisons.pairs import COMPARISONS
from comparisons.result import Result, flat

STYLES = ("pages.css", "charts.css", "trace.css", "held.css", "advice.css", "report.css")


@dataclass(frozen=True)
class Section:
    """One comparison. What is no pair of ours any more has neither claim nor views."""

    slug: str
    title: SafeString
    claim: SafeString
    result: shown.ShownResult
    pitfalls: set[str]
    charts: list[Picture]
    shared: list[Shared]
    views: list[ShownView]

    @property
    def table_id(self) -> str:
        return f"measurements-{slugify(self.slug)}"


def slugs_of(result: Result) -> list[str]:
    """Those that were measured: in reading order, then what only the file knows.

    What `advise` measured is shown in another way.
    """
    measured = dict.fromkeys(row.comparison for row in result.measurements)
    if result.advice:
        measured.pop(ADVICE, None)
    return [slug for slug in COMPARISONS if slug in measured] + [
        slug for slug in measured if slug not in COMPARISONS
    ]


def section(result: Result, file: str, slug: str, language: str) -> Section:
    """Draw and word one comparison; file: the name of the result's."""
    with translation.override(language):
        declared = next((row for row in result.declared if row.get("comparison") == slug), {})
        comparison = COMPARISONS.get(slug)
        rows = [row for row in result.measurements if row.comparison == slug]
        judged = [verdict for verdict in result.verdicts if verdict.comparison == slug]
        found = shown.ShownResult(file, result, rows, judged)
        return Section(
            slug=slug,
            title=prose(comparison.title if comparison else str(declared.get("title", slug))),
            claim=prose(comparison.lesson().get("Claim", "") if comparison else ""),
            result=found,
            pitfalls={str(name) for name in declared.get("pitfalls", [])},
            charts=drawn(result, slug),
            shared=source.shared_sources(comparison) if comparison else [],
            views=(
                source.with_holds(source.shown_views(comparison), found.held) if comparison else []
            ),
        )


def html(result: Result, file: str, sections: Iterable[Section], language: str) -> str:
    """Return the whole file."""
    folder = Path(settings.STATIC_ROOT) / "comparisons"
    context: dict[str, Any] = {
        "run": shown.run_of(file, result),
        "sections": list(sections),
        "columns": shown.COLUMNS,
        "in_report": True,
        "environment": flat(result.environment),
        "styles": mark_safe("\n".join((folder / name).read_text() for name in STYLES)),
    }
    with translation.override(language):
        if result.advice:
            context |= shown_advice(file, result, result.advice, drawn(result, ADVICE))
        return render_to_string("comparisons/report.html", context)
