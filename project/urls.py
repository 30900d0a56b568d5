"""The pages, and every variant at /<slug>/<variant>/: all made from the registry.

Where one variant is measured: that variant, and what the measuring asks for.
"""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.translation import gettext as _

from comparisons import probes
from comparisons.pairs import COMPARISONS
from comparisons.registry import Variant
from project.deployments import DEPLOYMENTS
from project.held import held


def view_of(name: str, variant: Variant) -> Callable[..., Any]:
    """Return the variant's view; on a deployment that cannot serve it one that says why."""
    if not why_not_here(variant):
        return variant.view if measured else serving.telling_when(variant.view)

    def not_served_here(request: HttpRequest) -> HttpResponse:
        line = f"{name} {why_not_here(variant)}: python manage.py serve {name}\n"
        return HttpResponse(line, "text/plain", status=501)

    return not_served_here


def why_not_here(variant: Variant) -> str:
    """Say what of the deployment keeps it from serving the variant; "" if nothing does."""
    if not settings.DEPLOYMENT:
        return ""
    deployment = DEPLOYMENTS[settings.DEPLOYMENT]
    asked = variant.environ.get("EXTRA_MIDDLEWARE")
    if asked and not {*asked.split(",")} <= {*settings.MIDDLEWARE}:
        return _("needs middleware that is not here")
    if variant.is_async and deployment.why_not_async:
        words = {"deployment": deployment.name, "why": _(deployment.why_not_async)}
        return _("is an async view, and %(deployment)s serves none (%(why)s)") % words
    return ""


# Of the server's own colour: the other one costs a thread or an event loop a request.
on_event_loop = settings.DEPLOYMENT and DEPLOYMENTS[settings.DEPLOYMENT].interface == "asgi"
bystander = probes.async_bystander if on_event_loop else probes.bystander

variants = {
    f"{slug}/{variant.name}": variant
    for slug, comparison in COMPARISONS.items()
    for variant in comparison.variants
    if not variant.app
}
measured = settings.SERVED in variants
if not measured:  # these import what colours Python, reads results, ...
    from django.views.defaults import page_not_found
    from django.views.i18n import set_language

    from comparisons.pages import advising, pictures, runs, serving, trying, views
    from comparisons.pages.language import in_readers_language
# Where one is measured, no other stands before it: what it takes to find a view is not to depend on
# how many there are, and in which order.
served = [settings.SERVED] if measured else variants
urlpatterns = [
    *(path(f"{name}/", view_of(name, variants[name]), name=name) for name in served),
    path("bystander/", bystander, name="bystander"),
    path("pools/", probes.pools, name="pools"),
]
if on_event_loop:
    urlpatterns.append(path("held/", held, name="held"))
if not measured:
    handler404 = in_readers_language(page_not_found)
    of_comparison = {slug: {"slug": slug, "why_not_here": why_not_here} for slug in COMPARISONS}
    urlpatterns += [
        path("", views.index, name="index"),
        path("advice/", advising.advice, name="advice"),
        path("changes/", runs.changes, name="changes"),
        path("history/", runs.history, name="history"),
        # A view, no middleware: static files cost the measured views nothing, and need no DEBUG.
        path("static/<path:path>", views.static_file),
        path("language/", set_language, name="set_language"),
        path("charts/<str:file>/<slug:slug>/<str:name>.svg", pictures.picture, name="chart"),
        *(
            path(f"{slug}/", views.comparison, of_comparison[slug], name=slug)
            for slug in COMPARISONS
        ),
        *(
            path(f"{slug}/try/", trying.try_it, of_comparison[slug], name=f"{slug}/try")
            for slug in COMPARISONS
        ),
    ]
