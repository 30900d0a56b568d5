"""What a request is made of, asked of somebody else's project that runs under real servers."""

import sys
from dataclasses import replace

import pytest

from loadtests.advising import probing
from loadtests.advising.deployments import deployments_of
from loadtests.advising.probing import profiles
from loadtests.advising.subject import find_subject
from loadtests.asks import Ask
from loadtests.running.servers import ServerError, serving

FILES = {
    "settings.py": """
SECRET_KEY = "shop"
ROOT_URLCONF = "shop.urls"
MIDDLEWARE = ["shop.middleware.SyncOnly"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": ["templates"]}]
""",
    "wsgi.py": """
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
""",
    "asgi.py": """
from django.core.asgi import get_asgi_application
application = get_asgi_application()
""",
    "urls.py": """
from django.urls import path
from shop import views
names = ["orders", "Detail", "clean", "clean_async", "blocks", "locked", "asks", "listed", "dies"]
urlpatterns = [
    path(f"{name}/", view.as_view() if isinstance(view, type) else view)
    for name in names for view in [getattr(views, name)]
]
""",
    "middleware.py": """
class SyncOnly:
    sync_capable, async_capable = True, False
    def __init__(self, get_response):
        self.get_response = get_response
    def __call__(self, request):
        return self.get_response(request)
""",
    "data.py": """
import functools, time
from django.db import connection
def count():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")  # asks
async def ask_on_the_loop():
    connection.connection or connection.connect()
    connection.connection.create_function("slow", 0, functools.partial(time.sleep, 0.04))
    with connection.cursor() as cursor:
        cursor.execute("SELECT slow()")  # asks on the loop
def one():
    two()
def two():
    time.sleep(0.02)  # blocks
""",
    "views.py": """
import asyncio, functools, os, time
from django.http import HttpResponse
from django.shortcuts import render
from django.views import View
from shop import data
lock = asyncio.Lock()
def wrapped(view):
    @functools.wraps(view)
    def inner(request):
        return view(request)
    return inner
@wrapped
def orders(request):
    for _ in range(3):
        data.count()
    return HttpResponse("orders")
class Detail(View):
    def get(self, request):
        return HttpResponse("detail")
def clean(request):
    time.sleep(0.02)  # waits
    return HttpResponse("clean")
async def clean_async(request):
    await asyncio.sleep(0.02)
    return HttpResponse("clean")
async def blocks(request):
    data.one()
    return HttpResponse("blocks")
async def asks(request):
    await data.ask_on_the_loop()
    return HttpResponse("asks")
async def locked(request):
    async with lock:  # waits for the lock
        await asyncio.sleep(0.02)
    return HttpResponse("locked")
def listed(request):
    slow = functools.partial(time.sleep, 0.01)
    return render(request, "list.html", {"slow": slow})
def dies(request):
    os._exit(7)
""",
    "../templates/list.html": "<ul>\n{% for x in 'ab' %}\n<li>{{ slow }}</li>\n{% endfor %}</ul>",
}

UNSAFE = {"DJANGO_ALLOW_ASYNC_UNSAFE": "1"}  # or Django refuses queries on a loop


def place_of(comment, file):
    """Where the comment stands: `shop/views.py:31`."""
    lines = FILES[file].splitlines()
    (number,) = (n for n, line in enumerate(lines, 1) if line.endswith(f"  # {comment}"))
    return f"shop/{file}:{number}"


@pytest.fixture(scope="module")
def deployments(tmp_path_factory):
    folder = tmp_path_factory.mktemp("theirs")
    (folder / "shop").mkdir()
    (folder / "templates").mkdir()
    for name, text in FILES.items():
        (folder / "shop" / name).write_text(text)
    found = deployments_of(find_subject(folder, "shop.settings", sys.executable, UNSAFE))
    return {
        "wsgi": replace(found["wsgi-threads"], workers=1, threads=16, probes=True),
        "asgi": replace(found["asgi-uvicorn"], probes=True),
    }


@pytest.fixture(scope="module", params=["wsgi", "asgi"])
def interface(request):
    return request.param


@pytest.fixture(scope="module")
def seen(deployments, interface):
    """The profile of each view, by its name."""
    sync = ["orders", "Detail", "clean", "listed"]
    names = sync + ["clean_async", "blocks", "locked", "asks"] * (interface == "asgi")
    with pytest.MonkeyPatch.context() as patch, serving([deployments[interface]]) as (server,):
        patch.setattr(probing, "ALONE", 8)
        found = profiles(server, [Ask(f"/{name}/") for name in names])
    return dict(zip(names, found, strict=True))


def of_asgi(interface):
    if interface != "asgi":
        pytest.skip("of an event loop")


def places(profile, kind):
    return [line.place for line in profile.lines if line.kind == kind]


def test_profile_says_whose_it_is(seen, interface):
    found = seen["orders"]
    assert (found.ask, found.interface, found.is_async) == ("GET /orders/", interface, False)
    assert found.requests == 8 + 8 + 2 * probing.TOGETHER
    assert found.wall_ms == pytest.approx(found.cpu_ms + found.wait_ms, abs=0.01)


def test_view_is_found_below_its_decorators_and_by_its_class(seen):
    assert seen["orders"].view == "shop.views.orders"
    assert seen["Detail"].view == "shop.views.Detail"
    assert all(one.place.startswith("shop/views.py:") for one in seen.values())


def test_queries_are_counted_where_they_are_asked(seen):
    found = seen["orders"]
    assert (found.queries, found.connections) == (3, 1)
    assert 0 < found.query_ms < found.held_ms
    assert set(places(found, "query")) <= {place_of("asks", "data.py")}
    assert (seen["clean"].queries, seen["clean"].connections, seen["clean"].held_ms) == (0, 0, 0)


def test_a_waiting_thread_is_found_at_its_line(seen):
    line = next(line for line in seen["clean"].lines if line.kind == "thread")
    assert line.place == place_of("waits", "views.py")
    assert line.cpu_ms < line.ms / 2
    assert seen["clean"].wait_ms > seen["clean"].cpu_ms


def test_a_template_is_found_by_its_line(seen):
    assert places(seen["listed"], "thread")[0] == "templates/list.html:3"


def test_nothing_holds_the_loop_of_clean_views(seen):
    for name in {"clean", "clean_async", "Detail"} & set(seen):
        assert places(seen[name], "holds") == []


def test_what_blocks_deep_below_a_view_holds_the_loop_and_the_others(seen, interface):
    of_asgi(interface)
    line = seen["blocks"].lines[0]
    assert (line.kind, line.place) == ("holds", place_of("blocks", "data.py"))
    assert line.code.startswith("time.sleep(0.02)")
    assert line.others > 1  # of the seven


def test_a_query_on_the_loop_holds_it_and_is_one_line(seen, interface):
    of_asgi(interface)
    assert places(seen["asks"], "holds") == [place_of("asks on the loop", "data.py")]
    assert seen["asks"].lines[0].others > 1  # as the watch has seen it
    assert seen["asks"].queries == 1


def test_others_wait_at_a_lock_that_is_held_across_an_await(seen, interface):
    of_asgi(interface)
    assert places(seen["locked"], "holds") == []
    assert places(seen["locked"], "awaits")[0] == place_of("waits for the lock", "views.py")


def test_a_middleware_that_is_only_sync_makes_the_hops(seen, interface):
    mine = [hop for hop in seen["clean"].hops if hop.by == "shop.middleware.SyncOnly"]
    if interface == "wsgi":
        assert seen["clean"].hops == ()
    else:
        assert "thread" in {hop.to for hop in mine}
        assert {hop.place for hop in mine} == {"shop/middleware.py:2"}


def test_a_server_that_dies_is_one_line(deployments, interface):
    with serving([deployments[interface]]) as (server,):
        server.process.kill()
        server.process.wait()
        with pytest.raises(ServerError) as error:
            profiles(server, [Ask("/clean/")])
    assert f"{server.deployment.name} died (signal 9)" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_server_whose_view_ends_it_is_one_line(deployments):
    with serving([deployments["asgi"]]) as (server,), pytest.raises(ServerError) as error:
        profiles(server, [Ask("/dies/")])
    assert str(error.value).startswith("GET /dies/: asgi-uvicorn died (exit status 7)")
    assert "\n" not in str(error.value)
