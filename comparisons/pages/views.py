"""The pages for people.

A page shows a pair as it stands in its file, and what was measured of it last.
"""

import ast
import inspect
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.views.static import serve
from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexers.python import PythonLexer

from comparisons.pages.shown import ShownResult, latest_results
from comparisons.pairs import COMPARISONS, GROUPS
from comparisons.registry import Comparison, Variant, View


def index(request: HttpRequest) -> HttpResponse:
    """Every comparison, in reading order, with the verdicts of its latest result."""
    results, notices = latest_results(COMPARISONS)
    groups = [
        (name, [_entry(module.comparison, results) for module in modules])
        for name, modules in GROUPS.items()
    ]
    # A run may cover some comparisons only: the newest is named once, an older one where it shows.
    newest = max(
        (result.run for result in results.values()), key=lambda run: run.started, default=None
    )
    return _page(request, "index", groups=groups, run=newest, notices=notices)


def comparison(request: HttpRequest, slug: str) -> HttpResponse:
    """One comparison: its lesson, its views side by side, its latest result."""
    if slug not in COMPARISONS:
        raise Http404(f"no comparison {slug}")
    shown = COMPARISONS[slug]
    order = [*COMPARISONS.values()]
    place = order.index(shown)
    results, notices = latest_results([slug])
    return _page(
        request,
        "comparison",
        **_entry(shown, results),
        lesson=[(label, _prose(text)) for label, text in shown.lesson().items()],
        file=_path(shown.module),
        shared=_highlighted(_shared_source(shown)),
        views=_views(shown),
        pitfalls={variant.name for variant in shown.variants if variant.pitfall},
        notices=notices,
        group=next(name for name, modules in GROUPS.items() if shown.module in modules),
        number=place + 1,
        total=len(order),
        previous=order[place - 1] if place else None,
        next=order[place + 1] if place + 1 < len(order) else None,
    )


def static_file(request: HttpRequest, path: str) -> HttpResponseBase:
    """As Django's view, but whole: of a file in pieces, an iterator, Django warns under ASGI."""
    response = serve(request, path, str(settings.STATIC_ROOT))
    if not isinstance(response, FileResponse):
        return response  # 304 Not Modified
    with closing(response):
        return HttpResponse(b"".join(response), headers=dict(response.items()))


def _page(request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    response = render(request, f"comparisons/{template}.html", context)
    # Nothing inline and nothing from elsewhere: what a result file says can't become a script.
    response["Content-Security-Policy"] = "default-src 'self'"
    return response


def _entry(comparison: Comparison, results: dict[str, ShownResult]) -> dict[str, Any]:
    return {
        "comparison": comparison,
        "claim": _prose(comparison.lesson().get("Claim", "")),
        "result": results.get(comparison.slug),
    }


# --- A pair's source


@dataclass(frozen=True)
class ShownView:
    """A variant's view as its file has it."""

    variant: Variant
    url: str
    place: str  # path:line, as editors and terminals understand it
    served_by: str
    source: SafeString
    same_as: str | None  # the variant above that has the same view, served in another way


def _views(comparison: Comparison) -> list[ShownView]:
    first: dict[View, str] = {}
    shown = []
    for variant in comparison.variants:
        view = variant.view
        source = (inspect.getcomments(view) or "") + inspect.getsource(view)
        shown.append(
            ShownView(
                variant=variant,
                url=reverse(f"{comparison.slug}/{variant.name}"),
                place=f"{_path(inspect.getmodule(view))}:{inspect.getsourcelines(view)[1]}",
                served_by=_served_by(variant),
                source=_highlighted(source),
                same_as=first.get(view),
            )
        )
        first.setdefault(view, variant.name)
    return shown


def _served_by(variant: Variant) -> str:
    """For instance `gunicorn, gthread worker; 1000 threads`."""
    own_shape = [
        f"{number} {noun}"
        for number, noun in ((variant.workers, "processes"), (variant.threads, "threads"))
        if number is not None
    ]
    if variant.database is not None:
        own_shape.append(f"database connections: {variant.database}")
    return "; ".join([settings.DEPLOYMENTS[variant.deployment].about, *own_shape])


def _shared_source(comparison: Comparison) -> str:
    """What the views share: all of the module but docstring, imports, views and declaration."""
    source = inspect.getsource(comparison.module)
    lines = source.splitlines()
    shown_elsewhere = {"comparison", *(v.view.__name__ for v in comparison.variants)}
    shared: list[str] = []
    end = 0
    for node in ast.parse(source).body:
        begin, end = end, node.end_lineno or end
        match node:
            case ast.Expr() | ast.Import() | ast.ImportFrom():
                continue
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                if name in shown_elsewhere:
                    continue
            case ast.Assign(targets=[ast.Name(id=name)]):
                if name in shown_elsewhere:
                    continue
        shared += lines[begin:end]  # from the end of what is before: with the comments above it
    return "\n".join(shared).strip("\n")


def _highlighted(source: str) -> SafeString:
    """The source as HTML; the lines that a comment calls the pitfall stand out."""
    pitfalls = [n for n, line in enumerate(source.splitlines(), start=1) if "# pitfall" in line]
    formatter: HtmlFormatter[str] = HtmlFormatter(nowrap=True, hl_lines=pitfalls)
    return mark_safe(highlight(source, PythonLexer(), formatter))  # Pygments escapes it


def _path(module: Any) -> str:
    return str(Path(inspect.getfile(module)).relative_to(settings.BASE_DIR))


def _prose(text: str) -> SafeString:
    """A docstring's sentence as HTML: a capital at its start, `code` between backticks."""
    parts = enumerate((text[:1].upper() + text[1:]).split("`"))
    return format_html_join(
        "", "{}{}{}", (_code(part) if n % 2 else ("", part, "") for n, part in parts)
    )


def _code(text: str) -> tuple[SafeString, str, SafeString]:
    return mark_safe("<code>"), text, mark_safe("</code>")
