"""In which thread and event loop a view runs, under WSGI and under ASGI."""

import asyncio
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
from django.test import AsyncClient, Client
from django.urls import path

from comparisons.pairs import start_up

seen = []  # (thread, event loop or None) that a view of these URLs ran in


def sync_view(request):
    seen.append((threading.get_ident(), None))
    return start_up.sync(request)


async def async_view(request):
    seen.append((threading.get_ident(), asyncio.get_running_loop()))
    return await start_up.async_native(request)


urlpatterns = [path("sync/", sync_view), path("async/", async_view)]


@contextmanager
def views_seen():
    seen.clear()
    yield seen
    seen.clear()


@pytest.mark.urls(__name__)
def test_wsgi_gives_each_async_request_a_thread_and_a_loop():
    with views_seen() as places:
        for _ in range(2):
            assert Client().get("/async/").status_code == 200
        (first_thread, first), (second_thread, second) = places
    assert first is not second
    assert first.is_closed()
    assert second.is_closed()
    assert threading.get_ident() not in (first_thread, second_thread)


@pytest.mark.urls(__name__)
def test_wsgi_runs_a_sync_view_where_it_is_called():
    with views_seen() as places:
        Client().get("/sync/")
        assert places == [(threading.get_ident(), None)]


@pytest.mark.urls(__name__)
def test_asgi_runs_a_sync_view_in_a_thread_and_an_async_one_not():
    async def both():
        for url in ("/sync/", "/async/"):
            await AsyncClient().get(url)

    with views_seen() as places:
        asyncio.run(both())
        (sync_thread, _), (async_thread, _) = places
    assert async_thread == threading.get_ident() != sync_thread


@pytest.mark.parametrize(
    "script", sorted(start_up.SCRIPTS.glob("*_script.py")), ids=lambda p: p.stem
)
def test_script_is_a_whole_program_without_django(script):
    run = f"import runpy, sys; runpy.run_path({str(script)!r}, run_name='__main__')"
    code = f"{run}; assert 'django' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
