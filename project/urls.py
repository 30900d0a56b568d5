"""The pages, and every variant at /<slug>/<variant>/: all made from the registry."""

from django.conf import settings
from django.urls import path

from comparisons import probes
from comparisons.pages import views
from comparisons.pairs import COMPARISONS
from project.deployments import DEPLOYMENTS

# Of the server's own colour: the other one costs a thread or an event loop a request.
on_event_loop = settings.DEPLOYMENT and DEPLOYMENTS[settings.DEPLOYMENT].interface == "asgi"
bystander = probes.async_bystander if on_event_loop else probes.bystander

variants = {
    f"{slug}/{variant.name}": variant
    for slug, comparison in COMPARISONS.items()
    for variant in comparison.variants
    if not variant.app
}
# Where one is measured, no other stands before it: what it takes to find a view is not to depend on
# how many there are, and in which order.
served = [settings.SERVED] if settings.SERVED in variants else variants
urlpatterns = [
    *(path(f"{name}/", variants[name].view, name=name) for name in served),
    path("bystander/", bystander, name="bystander"),
    path("pools/", probes.pools, name="pools"),
    path("", views.index, name="index"),
    # A view, no middleware: static files cost the measured views nothing, and need no DEBUG.
    path("static/<path:path>", views.static_file),
    *(path(f"{slug}/", views.comparison, {"slug": slug}, name=slug) for slug in COMPARISONS),
]
