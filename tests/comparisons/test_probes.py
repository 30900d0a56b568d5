"""What the measuring asks of a server beside its variants."""

import asyncio
import gc
import json
import weakref

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.db import connections
from django.http import HttpRequest
from django.test import Client, RequestFactory, override_settings
from django.urls import path

from comparisons import probes
from project.direct import DirectASGIHandler
from tests.support.hops import answers_to


def test_bystander_answers_alike_in_both_colours() -> None:
    answer = probes.bystander(HttpRequest())
    assert answer.content == asyncio.run(probes.async_bystander(HttpRequest())).content
    assert json.loads(answer.content) == {"ok": True}


class Cycle:
    def __init__(self) -> None:
        self.itself = self


def test_pools_collect_garbage_only_when_asked_to() -> None:
    gc.disable()  # or it may be collected before we ask
    try:
        garbage = weakref.ref(Cycle())
        probes.pools(RequestFactory().get("/pools/"))
        assert garbage()
        probes.pools(RequestFactory().get("/pools/?collect"))
        assert not garbage()
    finally:
        gc.enable()


urlpatterns = [
    path("bystander/", probes.bystander),
    path("async_bystander/", probes.async_bystander),
    path("pools/", probes.pools),
]


@pytest.mark.parametrize("handler", [WSGIHandler, ASGIHandler, DirectASGIHandler])
@pytest.mark.parametrize("name", ["bystander", "async_bystander", "pools"])
@override_settings(ROOT_URLCONF=__name__)
def test_probes_take_no_connection_where_each_request_is_a_transaction(name, handler, monkeypatch):
    """pytest-django refuses them one."""
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    if handler is WSGIHandler:
        assert Client().get(f"/{name}/").status_code == 200
    else:
        ((status, _, _),) = answers_to(f"/{name}/", handler=handler)
        assert status == 200
