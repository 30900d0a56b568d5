"""How many threads requests hold while they wait."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import ThreadSensitiveContext
from django.core.asgi import get_asgi_application
from django.core.exceptions import BadRequest
from django.http import JsonResponse
from django.test import RequestFactory, override_settings
from django.urls import path

from comparisons.pairs import many_waiting


def test_thousand_coroutines_wait_together_in_one_thread():
    request_ = RequestFactory().get("/?seconds=0.05")

    async def main():
        waiting = [asyncio.ensure_future(many_waiting.async_native(request_)) for _ in range(1000)]
        before = set(threading.enumerate())
        await asyncio.sleep(0)  # each runs until it waits
        assert not any(task.done() for task in waiting)
        assert set(threading.enumerate()) <= before
        await asyncio.gather(*waiting)

    asyncio.run(main())


@pytest.mark.parametrize("text", ["", "long", "-1", "90.1", "nan", "inf", "1e400"])
@pytest.mark.parametrize("view", [many_waiting.sync, many_waiting.async_native])
def test_wait_has_a_maximum(view, text):
    """BadRequest is what Django answers with status 400."""
    request = RequestFactory().get("/", {"seconds": text})
    with pytest.raises(BadRequest, match="seconds"):
        asyncio.run(view(request)) if asyncio.iscoroutinefunction(view) else view(request)


TOGETHER = 20
threads_while_waiting = []
all_wait = None


async def waiting_for_the_others(request):
    await all_wait.wait()
    threads_while_waiting.append(set(threading.enumerate()))
    await all_wait.wait()
    return JsonResponse({})


urlpatterns = [path("", waiting_for_the_others)]


async def through(application):
    """One request of an ASGI server to the application: the status."""
    scope = {
        **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET"},
        **{
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
        },
    }
    to_come = [{"type": "http.request", "body": b"", "more_body": False}]
    sent = []

    async def receive():
        if not to_come:
            await asyncio.Event().wait()  # the client stays
        return to_come.pop()

    async def send(message):
        sent.append(message)

    await application(scope, receive, send)
    return sent[0]["status"]


def threads_held_by(application):
    """How many threads there are, beside those before, while TOGETHER requests wait."""
    global all_wait
    threads_while_waiting.clear()
    before = set(threading.enumerate())  # some of an earlier test may be about to end

    async def main():
        global all_wait
        all_wait = asyncio.Barrier(TOGETHER)
        return await asyncio.gather(*(through(application) for _ in range(TOGETHER)))

    assert asyncio.run(main()) == [200] * TOGETHER
    return max(len(threads - before) for threads in threads_while_waiting)


@override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[])
def test_djangos_asgi_handler_holds_a_thread_for_each_waiting_request():
    assert threads_held_by(get_asgi_application()) == TOGETHER


@override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[])
def test_waiting_request_holds_no_thread_where_one_is_shared():
    django = get_asgi_application()
    with ThreadPoolExecutor(1) as shared:

        async def application(scope, receive, send):
            async with ThreadSensitiveContext(executor=shared):
                await django(scope, receive, send)

        assert threads_held_by(application) == 1
