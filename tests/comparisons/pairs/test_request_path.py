"""What a request needs of threads before and after its view, and what is served without Django."""

import threading
from unittest import mock

import pytest
from django.core.handlers.asgi import ASGIHandler

from comparisons import floor
from comparisons.pairs import COMPARISONS, request_path
from loadtests.running import servers
from project import asgi
from project.deployments import DEPLOYMENTS
from project.direct import DirectASGIHandler
from tests.support.hops import answers_to, note_hops, settings_of

# Django's own, for the receivers of request_started and for response.close().
STARTED, FINISHED = "Signal.asend.<locals>.sync_send", "HttpResponseBase.close"
VIEW, BODY = "sync", b'{"ok": true}'


@pytest.fixture(autouse=True)
def as_measured():
    """No middleware but the one that every deployment has."""
    with settings_of({}):
        yield


def on_shared_thread():
    """What project/asgi.py serves with SHARED_THREAD, with the settings of now."""
    django = ASGIHandler()

    async def application(scope, receive, send):
        with mock.patch.object(asgi, "django", django):
            await asgi.on_shared_thread(scope, receive, send)

    return application


@pytest.fixture
def started(monkeypatch):
    """The threads that are started from now on."""
    threads = []
    start = threading.Thread.start

    def noted(self):
        threads.append(self)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", noted)
    return threads


@pytest.mark.parametrize(
    ("view", "handler", "hops_taken", "threads_started"),
    [
        # A thread for the request, and one that waits for its end.
        ("async_native", ASGIHandler, [STARTED, FINISHED], 2),
        ("async_native", on_shared_thread, [STARTED, FINISHED], 0),
        ("async_native", DirectASGIHandler, [], 0),
        ("sync", ASGIHandler, [STARTED, VIEW, FINISHED], 2),
        ("sync", DirectASGIHandler, [VIEW, FINISHED], 1),
    ],
)
def test_request_takes_so_many_hops_and_starts_so_many_threads(
    view, handler, hops_taken, threads_started, monkeypatch, started
):
    """The third of three: what the first does once does not count."""
    name = next(v.name for v in request_path.comparison.variants if v.view.__name__ == view)
    hops = note_hops(monkeypatch)

    def forget():
        hops.clear()
        started.clear()

    answers = answers_to(f"/request-path/{name}/", 3, handler=handler, before_last=forget)
    assert [(status, body) for status, _, body in answers] == [(200, BODY)] * 3
    assert hops == hops_taken
    assert len(started) == threads_started


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("handler", "hops_taken"), [(ASGIHandler, [STARTED, FINISHED]), (DirectASGIHandler, [])]
)
def test_query_of_an_async_pool_takes_no_hop_of_its_own(handler, hops_taken, monkeypatch):
    name = next(
        v.name for v in request_path.comparison.variants if v.view.__name__ == "async_query"
    )
    hops = note_hops(monkeypatch)
    ((status, _, body),) = answers_to(f"/request-path/{name}/", handler=handler)
    assert (status, body) == (200, BODY)
    assert hops == hops_taken


# --- Variants with an application of their own, on every kind of server that may have it

SERVERS = ("asgi-uvicorn", "asgi-granian", "asgi-gunicorn")
APPS = sorted({v.app for c in COMPARISONS.values() for v in c.variants if v.app})
WITH_APP = [(slug, v) for slug, c in COMPARISONS.items() for v in c.variants if v.app]


@pytest.fixture(scope="module")
def running():
    wanted = [(name, app) for name in SERVERS for app in (None, *APPS)]
    shaped = [DEPLOYMENTS[name].shaped(app=app) for name, app in wanted]
    with servers.serving(shaped) as started:
        yield dict(zip(wanted, started, strict=True))


def answer(server, path):
    """Status, content type, who answered, and the body."""
    request = servers.urllib.request.Request(f"{server.url}{path}")
    try:
        response = servers.direct.open(request, timeout=30)
    except servers.urllib.request.HTTPError as error:
        response = error
    with response:
        headers = response.headers
        return response.status, headers["Content-Type"], headers["X-Deployment"], response.read()


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize(
    ("slug", "variant"), WITH_APP, ids=[f"{slug}/{variant.name}" for slug, variant in WITH_APP]
)
def test_other_application_answers_as_django_does(slug, variant, name, running):
    django, other = running[name, None], running[name, variant.app]
    like = next(v for v in COMPARISONS[slug].variants if v.is_async and not v.app)
    query = "?seconds=0" if COMPARISONS[slug].waiting else ""
    status, kind, who, body = answer(django, f"/{slug}/{like.name}/{query}")
    assert (status, who) == (200, django.name)
    assert answer(other, f"/{slug}/{variant.name}/{query}") == (status, kind, other.name, body)


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("app", APPS)
def test_other_application_has_a_bystander_and_no_pools(app, name, running):
    server = running[name, app]
    assert answer(server, "/bystander/")[::2] == (200, server.name)
    assert answer(server, "/pools/")[::2] == (404, server.name)


def test_view_of_another_application_is_one_that_its_file_serves():
    """The registry's name is the URL's last part: Starlette routes by it."""
    routed = {route.path for route in floor.starlette.routes}
    declared = {f"/{slug}/{v.name}/" for slug, v in WITH_APP if v.app.endswith(":starlette")}
    assert declared | {"/bystander/"} == routed


def test_nothing_of_another_application_is_among_djangos_urls(client):
    for slug, variant in WITH_APP:
        assert client.get(f"/{slug}/{variant.name}/").status_code == 404
