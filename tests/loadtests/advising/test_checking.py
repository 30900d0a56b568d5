"""What a reader's URL answers is looked at before anything is measured: one line if it is wrong."""

import pytest

from loadtests.advising import checking, probing
from loadtests.advising.checking import AnswerError, check
from loadtests.advising.deployments import deployments_of
from loadtests.asks import Ask
from loadtests.running import servers
from tests.support.readers import found, with_settings

URLS = """
import itertools, os, time

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET

numbers = itertools.count()

def price(of):
    return of["price"]

def broken(request):
    try:
        price({})
    except KeyError as error:
        raise ValueError("no price") from error

def denied(request):
    raise PermissionDenied

def parts(request):
    yield b"one"
    raise LookupError("the rest")

def endless(request):
    while True:
        yield b"."
        time.sleep(0.05)

urlpatterns = [
    path("ok/", lambda request: HttpResponse("ok")),
    path("made/", csrf_exempt(lambda request: HttpResponse(request.body, status=201))),
    path("form/", lambda request: HttpResponse("taken")),
    path("sent/", csrf_exempt(lambda request: redirect("/ok/"))),
    path("mine/", lambda request: redirect("/enter/?next=/mine/")),
    path("admin/", lambda request: redirect("/admin/login/?next=/admin/")),
    path("moved/", lambda request: redirect("/ok/?page=2")),
    path("relative/", lambda request: HttpResponseRedirect("../ok/")),
    path("secure/", lambda request: redirect("https://127.0.0.1/secure/")),
    path("www/", lambda request: redirect("http://www.shop.example/www/")),
    path("sso/", lambda request: redirect("https://id.example/in/")),
    path("denied/", denied),
    path("get/", csrf_exempt(require_GET(lambda request: HttpResponse("got")))),
    path("often/", lambda request: HttpResponse(status=429)),
    path("host/", lambda request: HttpResponse(request.get_host())),
    path("bad/", lambda request: HttpResponse("a  name\\nis needed", status=400)),
    path("title/", lambda request: HttpResponse("<title>\\nBusy</title>", status=503)),
    path("broken/", broken),
    path("static/", lambda request: price_of_static()),
    path("other/", lambda request: HttpResponse(status=(200, 404, 500)[next(numbers) % 3])),
    path("limited/", lambda request: HttpResponse(status=429 if next(numbers) % 2 else 200)),
    path("different/", lambda request: HttpResponse(str(next(numbers)))),
    path("parts/", lambda request: StreamingHttpResponse(parts(request))),
    path("endless/", lambda request: StreamingHttpResponse(endless(request))),
    path("silent/", lambda request: time.sleep(3)),
    path("dead/", lambda request: os._exit(1)),
]

def price_of_static():
    raise ValueError("Missing staticfiles manifest entry for 'a.css'")
"""
LINES = URLS.splitlines()
BROKEN_AT = LINES.index('        raise ValueError("no price") from error') + 1
REST_AT = LINES.index('    raise LookupError("the rest")') + 1
SITE = with_settings("LOGIN_URL = '/enter/'\nALLOWED_HOSTS = ['shop.example']\n") | {
    "shop/urls.py": URLS
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    project = found(tmp_path_factory.mktemp("shop"), SITE)
    with servers.serving([deployments_of(project)["wsgi-threads"]]) as (started,):
        yield started


POST = {"method": "POST"}
LOGIN = "log in with a browser, and give its session as --cookie sessionid=..."
WRONG = [
    (Ask("/mine/"), f"sends to the login (302 to /enter/?next=/mine/): {LOGIN}"),
    (Ask("/admin/"), f"sends to the login (302 to /admin/login/?next=/admin/): {LOGIN}"),
    (Ask("/moved/"), "sends elsewhere (302 to /ok/?page=2): ask for /ok/?page=2"),
    (Ask("/relative/"), "sends elsewhere (302 to ../ok/): ask for /ok/"),
    (Ask("/secure/"), "as --header 'X-Forwarded-Proto: https'"),
    (Ask("/www/"), "give --header 'Host: www.shop.example', or the cookie that it sets"),
    (Ask("/sent/", **POST), "as a form that was taken does: only answers of 2xx are measured"),
    (Ask("/form/", **POST), "for want of its CSRF token: give --cookie csrftoken=T and --header"),
    (Ask("/denied/"), "answers with 403: say who asks, with --cookie sessionid=... or --header"),
    (Ask("/missing/"), "answers with 404: the project has no such page, or not for everybody"),
    (Ask("/get/", **POST), "answers with 405: it takes GET (see --method)"),
    (Ask("/often/"), "answers with 429: the project limits how often one asks"),
    (Ask("/host/", headers={"host": "b.example"}), "of ALLOWED_HOSTS; is 'b.example' one?"),
    (Ask("/bad/"), "answers with 400 (a name is needed)"),
    (Ask("/title/"), "answers with 503 (Busy)"),
    (
        Ask("/broken/"),
        f"answers with 500: ValueError: no price (shop/urls.py:{BROKEN_AT})",
    ),
    (Ask("/static/"), "DEBUG is False, so run its manage.py collectstatic"),
    (Ask("/other/"), "answers with another status each time ("),
    (Ask("/limited/"), "the project limits how often one asks; switch that off"),
    (Ask("/sso/"), "sends to another host (302 to https://id.example/in/), which is not measured"),
    (
        Ask("/parts/"),
        f": breaks the connection off: LookupError: the rest (shop/urls.py:{REST_AT})",
    ),
    (Ask("/dead/"), ": breaks the connection off: "),
]


@pytest.mark.parametrize(("ask", "problem"), WRONG, ids=[ask.path for ask, _ in WRONG])
def test_wrong_answer_is_one_line_that_says_what_to_do(server, monkeypatch, ask, problem):
    monkeypatch.setattr(probing, "DYING_S", 0.1)
    with pytest.raises(AnswerError) as error:
        check(server, [Ask("/ok/"), ask], "/enter/")
    said = str(error.value)
    assert said.startswith(ask.name)
    assert problem in said
    assert "\n" not in said


@pytest.mark.parametrize("path", ["/endless/", "/silent/"])
def test_answer_without_an_end_is_given_up(server, monkeypatch, path):
    monkeypatch.setattr(checking, "TIMEOUT_S", 0.5)
    with pytest.raises(AnswerError, match=r"has not ended after 0\.5 s: only requests that end"):
        check(server, [Ask(path)], "")


@pytest.mark.parametrize(
    ("ask", "differs"),
    [
        (Ask("/ok/"), False),
        (Ask("/made/", "POST", body=b"x"), False),
        (Ask("/ok/", "HEAD"), False),
        (Ask("/different/"), True),
        (Ask("/host/"), True),  # its address is that of this server
        (Ask("/host/", headers={"Host": "shop.example"}), False),
    ],
    ids=lambda value: value.name if isinstance(value, Ask) else "",
)
def test_bodies_that_differ_are_told(server, ask, differs):
    assert check(server, [ask], "") is differs


def test_form_is_taken_with_the_token_that_the_line_asks_for(server):
    token = "a" * 32
    headers = {"Cookie": f"csrftoken={token}", "X-CSRFToken": token}
    assert check(server, [Ask("/form/", "POST", headers)], "") is False


def test_server_that_dies_of_a_request_is_told(tmp_path):
    project = found(tmp_path, SITE)
    with servers.serving([deployments_of(project)["asgi-uvicorn"]]) as (server,):
        with pytest.raises(AnswerError):
            check(server, [Ask("/broken/")], "")
        with pytest.raises(AnswerError, match=r"^GET /dead/: asgi-uvicorn died") as error:
            check(server, [Ask("/dead/")], "")
    assert "no price" not in str(error.value)  # what the log says of another request


def test_form_behind_https_is_taken_with_the_headers_that_the_line_asks_for(tmp_path):
    settings = {"shop/settings.py": SITE["shop/settings.py"] + "SECURE_SSL_REDIRECT = True\n"}
    project = found(tmp_path, SITE | settings)
    token = "a" * 32
    headers = {"Cookie": f"csrftoken={token}", "X-CSRFToken": token}
    sent = {**headers, "Host": "shop.example", "Referer": "https://shop.example/"}
    with servers.serving([deployments_of(project)["wsgi-threads"]]) as (server,):
        with pytest.raises(AnswerError, match="and --header 'Host: H' and --header 'Referer: "):
            check(server, [Ask("/form/", "POST", headers)], "")
        assert check(server, [Ask("/form/", "POST", sent)], "") is False
