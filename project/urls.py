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

urlpatterns = [
    path("", views.index, name="index"),
    path("bystander/", bystander, name="bystander"),
    path("pools/", probes.pools, name="pools"),
    # A view, no middleware: static files cost the measured views nothing, and need no DEBUG.
    path("static/<path:path>", views.static_file),
]
for slug, comparison in COMPARISONS.items():
    urlpatterns += [
        path(f"{slug}/", views.comparison, {"slug": slug}, name=slug),
        *(
            path(f"{slug}/{variant.name}/", variant.view, name=f"{slug}/{variant.name}")
            for variant in comparison.variants
        ),
    ]
