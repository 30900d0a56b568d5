"""The pages for people.

A page shows a pair as it stands in its file, and what was measured of it last.
"""

from contextlib import closing
from typing import Any

from django.conf import settings
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.static import serve

from comparisons.pages import source, trying
from comparisons.pages.prose import prose
from comparisons.pages.shown import ShownResult, latest_results
from comparisons.pairs import COMPARISONS, GROUPS
from comparisons.questions import QUESTIONS
from comparisons.registry import Comparison


def index(request: HttpRequest) -> HttpResponse:
    """Show every comparison, in reading order, with the verdicts of its latest result."""
    results, notices = latest_results(COMPARISONS)
    groups = [
        (name, [_entry(module.comparison, results) for module in modules])
        for name, modules in GROUPS.items()
    ]
    # A run may cover some comparisons only: the newest is named once, an older one where it shows.
    newest = max(
        (result.run for result in results.values()), key=lambda run: run.started, default=None
    )
    questions = [
        (question, [_entry(COMPARISONS[slug], results) for slug in slugs])
        for question, slugs in QUESTIONS.items()
    ]
    return _page(request, "index", questions=questions, groups=groups, run=newest, notices=notices)


@ensure_csrf_cookie  # for the form that tries it: deployments have no middleware for that
def comparison(request: HttpRequest, slug: str, why_not_here: trying.WhyNotHere) -> HttpResponse:
    """Show one comparison: its lesson, its views side by side, its latest result."""
    if slug not in COMPARISONS:
        raise Http404(f"no comparison {slug}")
    shown = COMPARISONS[slug]
    order = [*COMPARISONS.values()]
    place = order.index(shown)
    results, notices = latest_results([slug])
    shared = source.shared_source(shown)
    return _page(
        request,
        "comparison",
        **_entry(shown, results),
        lesson=[(label, prose(text)) for label, text in shown.lesson().items()],
        file=source.path_of(shown.module),
        shared=source.highlighted(shared) if shared else "",
        views=source.shown_views(shown),
        offer=trying.offer(request, shown, why_not_here),
        recipes=source.recipes(shown),
        questions=[question for question, slugs in QUESTIONS.items() if slug in slugs],
        pitfalls={variant.name for variant in shown.variants if variant.pitfall},
        notices=notices,
        group=next(name for name, modules in GROUPS.items() if shown.module in modules),
        number=place + 1,
        total=len(order),
        previous=order[place - 1] if place else None,
        next=order[place + 1] if place + 1 < len(order) else None,
    )


def static_file(request: HttpRequest, path: str) -> HttpResponseBase:
    """Serve a static file in one piece: Django warns about streamed files under ASGI."""
    response = serve(request, path, str(settings.STATIC_ROOT))
    if not isinstance(response, FileResponse):
        return response  # 304 Not Modified
    with closing(response):
        return HttpResponse(b"".join(response), headers=dict(response.items()))


def _page(request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    response = render(request, f"comparisons/{template}.html", context)
    # Nothing inline and nothing from elsewhere: what a result file says cannot become a script.
    response["Content-Security-Policy"] = "default-src 'self'"
    return response


def _entry(comparison: Comparison, results: dict[str, ShownResult]) -> dict[str, Any]:
    return {
        "comparison": comparison,
        "claim": prose(comparison.lesson().get("Claim", "")),
        "result": results.get(comparison.slug),
    }
