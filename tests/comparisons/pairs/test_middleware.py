"""Where each middleware runs, and how many hops into a thread a request takes with it."""

import asyncio
import sys
import threading
from runpy import run_path

import pytest
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.management import call_command
from django.http import HttpResponse
from django.http.response import ResponseHeaders
from django.test import Client

from comparisons.pairs import middleware
from project.direct import DirectASGIHandler
from tests.support.clients import PATIENCE
from tests.support.hops import answers_to, ask, note_hops, settings_of

VARIANTS = {variant.name: variant for variant in middleware.comparison.variants}
SYNC = [name for name, variant in VARIANTS.items() if not variant.is_async]
ASYNC = [name for name, variant in VARIANTS.items() if variant.is_async]
WITH_HEADER = ["sync_one", "async_one", "async_both", "async_direct_one"]
# Django's own, for the receivers of request_started and for response.close().
STARTED, FINISHED = "Signal.asend.<locals>.sync_send", "HttpResponseBase.close"


def path_of(name):
    return f"/{middleware.comparison.slug}/{name}/"


def handler_of(name):
    """What the variant's deployment serves."""
    return DirectASGIHandler if VARIANTS[name].deployment == middleware.DIRECT else ASGIHandler


def answer_of(name):
    """Status, headers and body."""
    with settings_of(VARIANTS[name].environ):
        if name in ASYNC:
            return answers_to(path_of(name), handler=handler_of(name))[0]
        answer = Client().get(path_of(name))
        return answer.status_code, {k.lower(): v for k, v in answer.items()}, answer.content


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_answers_alike(name):
    status, headers, body = answer_of(name)
    assert (status, body) == (200, b'{"hello": "world"}')
    assert (headers.get("x-site") == "comparisons") == (name in WITH_HEADER)
    assert ("x-frame-options" in headers) == name.endswith("seven")


def test_seven_are_those_of_a_new_project(tmp_path):
    call_command("startproject", "new", tmp_path)
    written = run_path(str(tmp_path / "new/settings.py"))
    assert written["MIDDLEWARE"] == settings.STARTPROJECTS_MIDDLEWARE


@pytest.mark.parametrize(
    ("name", "between"),
    [("async_view", 0), ("async_seven", 13), ("async_one", 1), ("async_both", 0)],
)
def test_middleware_takes_so_many_hops_beside_djangos_two(name, between, monkeypatch):
    hops = note_hops(monkeypatch)
    answer_of(name)
    assert (hops[0], hops[-1]) == (STARTED, FINISHED)
    assert len(hops[1:-1]) == between


def test_sync_middleware_takes_our_handler_into_a_thread(monkeypatch):
    """Which goes there once more then, to close what the middleware may have opened."""
    hops = note_hops(monkeypatch)
    answer_of("async_direct")
    assert hops == []
    answer_of("async_direct_one")
    assert hops == ["deployment_header.<locals>.middleware", FINISHED]


@pytest.mark.parametrize(
    ("name", "in_this_thread"),
    [("async_one", False), ("async_direct_one", False), ("async_both", True), ("sync_one", True)],
)
def test_sync_middleware_leaves_the_loops_thread(name, in_this_thread, monkeypatch):
    ran_in = []
    set_header = ResponseHeaders.__setitem__

    def noted(self, key, value):
        if key == "X-Site":
            ran_in.append(threading.current_thread())
        set_header(self, key, value)

    monkeypatch.setattr(ResponseHeaders, "__setitem__", noted)
    answer_of(name)
    assert [thread is threading.current_thread() for thread in ran_in] == [in_this_thread]


def threads_within(function):
    """Count the threads, other than this one, that are in code of a function of `middleware`."""
    frames = sys._current_frames()
    del frames[threading.get_ident()]
    found = 0
    for frame in frames.values():
        while frame and frame.f_code.co_qualname != function:
            frame = frame.f_back
        found += frame is not None
    return found


@pytest.mark.parametrize(
    ("name", "held"), [("async_one", 3), ("async_direct_one", 3), ("async_both", 0)]
)
def test_only_a_sync_middleware_holds_a_thread_for_each_request_that_waits(name, held):
    async def main():
        all_there, released = asyncio.Barrier(4), asyncio.Event()

        class Waiting(handler_of(name)):
            async def _get_response_async(self, request):
                await all_there.wait()
                await released.wait()
                return HttpResponse()

        application = Waiting()
        asking = [asyncio.ensure_future(ask(application, path_of(name))) for _ in range(3)]
        async with asyncio.timeout(PATIENCE):
            await all_there.wait()
            holding = threads_within("sync_only.<locals>.middleware")
            released.set()
            answers = await asyncio.gather(*asking)
        assert {status for status, _, _ in answers} == {200}
        return holding

    with settings_of(VARIANTS[name].environ):
        assert asyncio.run(main()) == held
