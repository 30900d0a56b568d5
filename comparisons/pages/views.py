"""The pages for people.

A page shows a pair as it stands in its file, and what was measured of it last.
"""

from collections.abc import Collection, Sequence
from contextlib import closing
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.static import serve

from comparisons.pages import source, trying
from comparisons.pages.language import in_readers_language
from comparisons.pages.pictures import pictures, small_picture
from comparisons.pages.prose import prose
from comparisons.pages.shown import (
    ShownResult,
    UnknownResultError,
    advice_in,
    advised,
    latest_results,
    result_files,
)
from comparisons.pages.source import ShownView
from comparisons.pairs import COMPARISONS, GROUPS
from comparisons.questions import QUESTIONS
from comparisons.registry import Comparison


@in_readers_language
def index(request: HttpRequest) -> HttpResponse:
    """Show every comparison, in reading order, with what its latest result says."""
    results, notices, chosen = _results(request, COMPARISONS)
    if chosen and advice_in(chosen):
        return redirect(f"{reverse('advice')}?{urlencode({'result': chosen})}")
    entries = {slug: _entry(one, results) for slug, one in COMPARISONS.items()}
    groups = [
        (prose(name), [entries[module.comparison.slug] for module in modules])
        for name, modules in GROUPS.items()
    ]
    # A run may cover some comparisons only: the newest is named once, an older one where it shows.
    newest = max(
        (result.run for result in results.values()), key=lambda run: run.started, default=None
    )
    questions = [
        (prose(question), [entries[slug] for slug in slugs])
        for question, slugs in QUESTIONS.items()
    ]
    return _page(
        request,
        "index",
        questions=questions,
        groups=groups,
        run=newest,
        notices=notices,
        chosen=chosen,
        files=[path.name for path in result_files()],
        advised=advised(),
    )


@ensure_csrf_cookie  # for the form that tries it: deployments have no middleware for that
@in_readers_language
def comparison(request: HttpRequest, slug: str, why_not_here: trying.WhyNotHere) -> HttpResponse:
    """Show one comparison: its lesson, two of its views side by side, its latest result."""
    if slug not in COMPARISONS:
        raise Http404(f"no comparison {slug}")
    shown = COMPARISONS[slug]
    order = [*COMPARISONS.values()]
    place = order.index(shown)
    results, notices, chosen = _results(request, [slug])
    result = results.get(slug)
    views = source.with_holds(source.shown_views(shown), result.held if result else [])
    left, right = _two(request, views)
    return _page(
        request,
        "comparison",
        **_entry(shown, results),
        lesson=[(prose(label), prose(text)) for label, text in shown.lesson().items()],
        shared=source.shared_sources(shown),
        views=views,
        left=left,
        right=right,
        same_view=left.variant.view is right.variant.view,
        pair=source.side_by_side(left, right),
        offer=trying.offer(request, shown, why_not_here),
        charts=pictures(result.file, result.measured, slug) if result else [],
        recipes=source.recipes(shown),
        questions=[prose(question) for question, slugs in QUESTIONS.items() if slug in slugs],
        pitfalls={variant.name for variant in shown.variants if variant.pitfall},
        notices=notices,
        chosen=chosen,
        of_project=advice_in(chosen) if chosen else None,
        group=next(prose(name) for name, modules in GROUPS.items() if shown.module in modules),
        number=place + 1,
        total=len(order),
        previous=_link(order[place - 1]) if place else None,
        next=_link(order[place + 1]) if place + 1 < len(order) else None,
    )


def _results(
    request: HttpRequest, slugs: Collection[str]
) -> tuple[dict[str, ShownResult], list[str], str]:
    """Return the newest results, or those of the file that `?result=` names; and its name."""
    chosen = request.GET.get("result", "")
    try:
        return *latest_results(slugs, chosen), chosen
    except UnknownResultError:
        raise Http404(f"no result file {chosen}") from None


def _two(request: HttpRequest, views: Sequence[ShownView]) -> tuple[ShownView, ShownView]:
    """Return the views that `?left=` and `?right=` name; the telling pair where they do not."""
    by_name = {view.variant.name: view for view in views}
    names = [request.GET.get(side, "") for side in ("left", "right")]
    for name in names:
        if name and name not in by_name:
            raise Http404(f"no variant {name}")
    first, second = source.telling_pair(views)
    left = by_name.get(names[0], first)
    return left, by_name.get(names[1], first if left is second else second)


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


def _not_found(line: str) -> HttpResponse:
    return HttpResponse(f"{line}\n", "text/plain; charset=utf-8", status=404)


def _link(comparison: Comparison) -> dict[str, Any]:
    return {"slug": comparison.slug, "title": prose(comparison.title)}


def _entry(comparison: Comparison, results: dict[str, ShownResult]) -> dict[str, Any]:
    result = results.get(comparison.slug)
    return {
        "comparison": comparison,
        "title": prose(comparison.title),
        "claim": prose(comparison.lesson().get("Claim", "")),
        "result": result,
        "picture": small_picture(result.file, result.measured, comparison.slug) if result else None,
    }
