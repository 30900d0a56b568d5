"""What the measuring asks of a server beside its variants."""

import asyncio
import gc
import json
import weakref

from django.http import HttpRequest
from django.test import RequestFactory

from comparisons import probes


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
