"""Handlers that are called by sync code, in an outer context, or late: whose thread they use."""

import asyncio
import runpy
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async
from django.core.signals import request_finished
from django.db import connections
from django.http import HttpResponse

from project import direct
from tests.support.asgi import ask, run, side
from tests.support.coloured import async_view


@pytest.fixture
def looked_after(monkeypatch):
    """The threads in which the connection of the test's own thread was examined, or closed."""
    found = []
    examine = lambda: found.append(threading.get_ident())  # noqa: E731
    monkeypatch.setattr(connections["default"], "close_if_unusable_or_obsolete", examine)
    return found


def test_under_sync_code_all_sync_code_runs_in_its_thread(site, connect, looked_after):
    """As in tests, and in a WSGI server with ASGI inside: its connections are looked after."""
    places = []
    place = lambda **_: places.append(threading.get_ident())  # noqa: E731

    async def view(request):
        await sync_to_async(place)()
        return HttpResponse()

    connect(request_finished, place, weak=False)
    async_to_sync(ask)(site(view))
    assert places == [threading.get_ident()] * 2
    assert looked_after == [threading.get_ident()] * 2


def test_under_sync_code_its_connections_are_looked_after_though_nothing_else_is_sync(
    site, looked_after
):
    async_to_sync(ask)(site(async_view))
    assert looked_after == [threading.get_ident()] * 2


@pytest.mark.parametrize("with_executor", [True, False])
def test_inside_an_outer_context_the_thread_is_its_and_looked_after(
    site, used_connection, monkeypatch, with_executor
):
    """A connection that one request left there is examined at the next, though it used none."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", None)
    places, examined = [], []

    def use(request):
        places.append(threading.current_thread())
        used_connection["use"]()
        examine = lambda: examined.append(threading.current_thread())  # noqa: E731
        monkeypatch.setattr(connections["default"], "close_if_unusable_or_obsolete", examine)
        return HttpResponse()

    async def main(executor):
        how = {"executor": executor} if with_executor else {}
        async with ThreadSensitiveContext(**how):
            await ask(site(use))
            assert examined == places
            await ask(site(async_view))
            assert examined == places * 3
            assert places[0].is_alive()
            places.append(await sync_to_async(threading.current_thread)())

    with ThreadPoolExecutor(1) as executor:
        run(main(executor))
        assert places[0] is places[1]
        assert not with_executor or executor.submit(threading.current_thread).result() is places[0]


def test_import_under_sync_code_leaves_it_its_thread():
    """A project may import its handler late; thread-sensitive code then still has that thread."""

    async def main():
        async with ThreadSensitiveContext():
            runpy.run_path(direct.__file__)
            return await sync_to_async(threading.get_ident)()

    assert async_to_sync(main)() == threading.get_ident()


@pytest.mark.parametrize("had_thread", [False, True])
def test_task_that_outlives_its_request_has_a_thread(site, had_thread):
    """Until it ends, its context keeps the thread that it has asked for: not its request's."""
    tasks = []

    async def view(request):
        if had_thread:
            await sync_to_async(side)()

        async def work():
            await asyncio.sleep(0.01)
            return await sync_to_async(side)()

        tasks.append(asyncio.create_task(work()))
        return HttpResponse()

    async def main():
        await ask(site(view))
        return await tasks[0]

    assert run(main()) == "thread"
