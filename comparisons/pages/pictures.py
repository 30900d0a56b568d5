"""Charts as files: each an image of its own, which the page that shows it does not wait for."""

from dataclasses import dataclass
from hashlib import sha256

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.cache import get_conditional_response, patch_cache_control
from django.utils.http import quote_etag
from django.utils.safestring import SafeString

from comparisons import result_store
from comparisons.advice import ADVICE
from comparisons.pages import drawing
from comparisons.pages.advice_charts import charts_of_advice
from comparisons.pages.charts import charts_of, small
from comparisons.pages.language import in_readers_language
from comparisons.pages.marks import Chart
from comparisons.result import Result
from comparisons.result_store import ResultError

SECONDS = 60  # for which a browser need not ask again: a run changes its file with each comparison


@dataclass(frozen=True)
class Picture:
    """A chart, and where its image is, or else the image itself."""

    chart: Chart
    url: str = ""
    svg: SafeString | None = None


def pictures(file: str, result: Result, slug: str) -> list[Picture]:
    """Return all charts of a comparison; file: the name of the result's."""
    return [_picture(file, slug, chart) for chart in _charts_of(result, slug)]


def drawn(result: Result, slug: str) -> list[Picture]:
    """Return them with their images, for a page that has to have all in it."""
    return [Picture(chart, svg=drawing.inline(chart)) for chart in _charts_of(result, slug)]


def _charts_of(result: Result, slug: str) -> list[Chart]:
    of_advice = charts_of_advice(result.advice) if result.advice and slug == ADVICE else []
    return of_advice + charts_of(result, slug)


def small_picture(file: str, result: Result, slug: str) -> Picture | None:
    chart = small(result, slug)
    return _picture(file, slug, chart) if chart else None


def _picture(file: str, slug: str, chart: Chart) -> Picture:
    return Picture(chart, reverse("chart", args=[file, slug, chart.name]))


@in_readers_language
def picture(request: HttpRequest, file: str, slug: str, name: str) -> HttpResponse:
    """Draw one chart of a result file."""
    drawn = drawing.svg(_chart(file, slug, name)).encode()
    etag = quote_etag(sha256(drawn).hexdigest()[:32])
    response = HttpResponse(drawn, "image/svg+xml", headers={"ETag": etag})
    # Opened by itself it is a document: one that loads nothing and runs nothing.
    response["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    patch_cache_control(response, max_age=SECONDS)
    return get_conditional_response(request, etag=etag, response=response) or response


def _chart(file: str, slug: str, name: str) -> Chart:
    paths = {path.name: path for path in result_store.newest_first(settings.RESULTS_DIR)}
    if file not in paths:
        raise Http404(f"no result {file}")
    try:
        result = result_store.read(paths[file])
    except ResultError as error:
        raise Http404(f"{file}: {error.problem}") from None
    found = [small(result, slug)] if name == "small" else _charts_of(result, slug)
    for chart in found:
        if chart and chart.name == name:
            return chart
    raise Http404(f"{file} has no chart {name} of {slug}")
