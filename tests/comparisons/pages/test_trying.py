"""Trying a comparison from its page: a burst at the server that shows it, told as it happens."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import closing, contextmanager
from html import unescape
from itertools import pairwise

import psutil
import pytest
from django.test import Client, RequestFactory
from django.utils.translation import get_language

from comparisons.pages import burst, burst_timeline, serving, trying
from comparisons.pages.burst import TIME_WAS_UP
from comparisons.pages.burst_timeline import Asked, Call, Timeline
from comparisons.pairs import COMPARISONS
from loadtests.running import servers
from project.deployments import DEPLOYMENTS
from project.ports import free_port
from tests.support.clients import PATIENCE, until

BLOCKING = COMPARISONS["blocking-call"]
PAIR = ["async_blocking", "async_native"]
TOKEN = "a" * 32
needs_chromium = pytest.mark.needs("chromium")


@pytest.fixture(scope="module")
def asgi():
    with servers.serving([DEPLOYMENTS["asgi-uvicorn"]], [{}]) as (server,):
        yield server


@pytest.fixture(scope="module")
def wsgi():
    with servers.serving([DEPLOYMENTS["runserver"]], [{}]) as (server,):
        yield server


@pytest.fixture(params=["asgi", "wsgi"])
def server(request):
    return request.getfixturevalue(request.param)


@contextmanager
def asked(server, slug="blocking-call", **fields):
    """The answer's stream, of a client that takes events."""
    form = {"csrfmiddlewaretoken": TOKEN, "variant": "async_native", "requests": "3"} | fields
    body = "&".join(f"{name}={value}" for name, value in form.items()).encode()
    head = (
        f"POST /{slug}/try/ HTTP/1.1\r\nHost: localhost\r\nCookie: csrftoken={TOKEN}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\nAccept: {trying.NDJSON}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        connection.sendall(head.encode() + body)
        with connection.makefile("rb") as stream:
            yield stream


def bursts(server):
    """The processes that fire a burst at the server."""
    family = psutil.Process(server.process.pid).children(recursive=True)
    return [child for child in family if burst.__file__ in child.cmdline()]


# --- In a browser


def tried(browser, server, **context):
    """The page on which the button was pressed, and that shows what came of it.

    A burst has ten seconds, of which a busy machine may have too little for all: then once more.
    """
    page = browser.new_context(**context).new_page()
    page.set_default_timeout(PATIENCE * 1000)
    complaints = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))

    def pressed():
        page.goto(f"{server.url}/blocking-call/")
        page.get_by_role("button", name="Try", exact=True).click()
        page.locator(".findings").wait_for()
        return TIME_WAS_UP not in page.locator(".findings").inner_text()

    until(pressed)
    assert complaints == []
    return page


def views_of(page, variant):
    """When the variant's view began and ended, for each request, in the order of their begin."""
    figure = page.locator(f"figure[data-variant={variant}]")
    requests = json.loads(figure.get_attribute("data-events"))["requests"]
    assert [request["status"] for request in requests] == [200] * trying.DEFAULT_REQUESTS
    assert figure.locator("rect.waiting").count() == len(requests)
    assert figure.locator("rect.in-view").count() == len(requests)
    return sorted(request["view"] for request in requests)


def are_a_staircase(views):
    return all(one[1] <= after[0] for one, after in pairwise(views))


@needs_chromium
@pytest.mark.parametrize(
    "javascript",
    [True, pytest.param(False, marks=pytest.mark.long)],
    ids=["live", "without javascript"],
)
def test_under_asgi_a_blocking_view_is_a_staircase_and_a_native_one_a_stack(
    browser, asgi, javascript
):
    page = tried(browser, asgi, java_script_enabled=javascript)
    assert are_a_staircase(views_of(page, "async_blocking"))
    assert not are_a_staircase(views_of(page, "async_native"))
    said = page.locator(".said").inner_text()
    assert "One after another" in said
    assert f"X-Deployment: {asgi.name}" in said
    assert "async_blocking holds the event loop" in said
    page.get_by_text("The same as a table").click()
    assert page.locator("tbody tr:visible").count() >= 2 * trying.DEFAULT_REQUESTS
    assert page.url.endswith("/blocking-call/" if javascript else "/blocking-call/try/#try")


@needs_chromium
@pytest.mark.parametrize(
    "javascript",
    [pytest.param(True, marks=pytest.mark.long), False],
    ids=["live", "without javascript"],
)
def test_under_wsgi_nothing_is_held_up_and_the_page_says_how_to_see_it(browser, wsgi, javascript):
    page = tried(browser, wsgi, java_script_enabled=javascript)
    assert not are_a_staircase(views_of(page, "async_blocking"))
    said = page.locator(".said").inner_text()
    assert "runserver (Django's development server; WSGI, a thread for each request)" in said
    assert "an event loop of its own" in said
    assert f"python manage.py serve asgi-uvicorn --port {wsgi.port + 1}" in said


@needs_chromium
def test_bars_are_drawn_while_the_burst_goes_on(browser, asgi):
    page = browser.new_page()
    page.goto(f"{asgi.url}/blocking-call/")
    page.evaluate(  # as they come, before the server's own picture takes their place
        """() => new MutationObserver((records) => {
            for (const { addedNodes } of records) for (const node of addedNodes)
                if (node.localName === "rect") {
                    const drawn = JSON.parse(document.body.dataset.drawn ?? "[]");
                    const variant = node.closest("figure").dataset.variant;
                    drawn.push([variant, node.getAttribute("class")]);
                    document.body.dataset.drawn = JSON.stringify(drawn);
                }
        }).observe(document.querySelector(".tried"), { childList: true, subtree: true })"""
    )
    page.get_by_label("requests at once").fill("3")
    page.get_by_role("button", name="Try", exact=True).focus()
    page.keyboard.press("Enter")
    page.locator(".findings").wait_for(timeout=PATIENCE * 1000)
    drawn = [tuple(bar) for bar in json.loads(page.locator("body").get_attribute("data-drawn"))]
    for variant in PAIR:
        assert drawn.count((variant, "waiting")) == 3
        assert drawn.count((variant, "in-view")) == 3
        assert drawn.count((variant, "bystander")) >= 1
    assert page.evaluate("document.activeElement.textContent") == "Try"


@needs_chromium
def test_browser_says_a_refusal_and_that_nothing_answers(browser, wsgi):
    page = browser.new_page()
    page.goto(f"{wsgi.url}/blocking-call/")
    press, said = page.get_by_role("button", name="Try", exact=True).click, page.locator(".said")
    page.context.clear_cookies()
    press()
    said.get_by_text("the form is too old").wait_for()
    page.route("**/try/", lambda route: route.abort())
    press()
    said.get_by_text("No answer from the server").wait_for()


# --- Who may, and what


def post(client=None, slug="blocking-call", accept=trying.NDJSON, **how):
    how = {"variant": PAIR, "requests": 3} | how
    form = {name: how.pop(name) for name in ("variant", "requests")}
    return (client or Client()).post(f"/{slug}/try/", form, headers={"accept": accept}, **how)


@pytest.mark.parametrize(
    ("status", "line", "how"),
    [
        (403, "only from the machine that serves it", {"REMOTE_ADDR": "192.0.2.1"}),
        (403, "not through a proxy", {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}),
        (403, "not through a proxy", {"HTTP_FORWARDED": "for=127.0.0.1"}),
        (403, "only from the machine that serves it", {"REMOTE_ADDR": ""}),
        (403, "Load the page again", {"client": Client(enforce_csrf_checks=True)}),
        (400, "from 1 to 20 requests", {"requests": 21}),
        (400, "from 1 to 20 requests", {"requests": 0}),
        (400, "a whole number", {"requests": "9" * 5000}),
        (400, "a whole number", {"requests": "-1"}),
        (400, "blocking-call has no variant <b>", {"variant": ["<b>"]}),
        (400, "one variant or two", {"variant": [""]}),
        (400, "one variant or two", {"variant": ["sync", *PAIR]}),
        (
            501,
            "no view of Django's: python manage.py serve request-path/async_plain",
            {"slug": "request-path", "variant": ["async_plain"]},
        ),
        (501, "takes uploads", {"slug": "uploads", "variant": ["sync"]}),
    ],
)
def test_refusal_is_a_line_of_text_or_a_page(status, line, how):
    response = post(**how)
    assert response.status_code == status
    assert response["Content-Type"].startswith("text/plain")
    assert line in (text := response.content.decode())
    assert text.count("\n") == 1
    page = post(**how, accept="text/html")
    assert page.status_code == status
    assert line in (unescape(html := page.content.decode()))
    assert "<b>" not in html or page["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("slug", "variant", "server"),
    [
        ("blocking-call", "async_native", "asgi-uvicorn"),
        ("sessions-and-users", "async_cache", "sessions-and-users/async_cache"),
    ],
)
def test_variant_that_the_server_cannot_serve_says_which_does(slug, variant, server):
    request = RequestFactory().post("/", {"variant": variant})
    request._dont_enforce_csrf_checks = True

    def why_not_here(variant):
        return "is not served here" if variant.is_async else ""

    line = f"{variant} is not served here: python manage.py serve {server}"
    response = trying.try_it(request, slug, why_not_here)
    assert response.status_code == 501
    assert line in response.content.decode()
    offered = trying.offer(request, COMPARISONS[slug], why_not_here)
    assert offered.variants == [v for v in COMPARISONS[slug].variants if not v.is_async]
    assert {*offered.chosen} <= {v.name for v in offered.variants}


def test_answer_is_in_the_language_of_its_request_and_lets_the_next_one_begin(monkeypatch):
    spoken, as_usual = [], trying.tried
    monkeypatch.setattr(
        trying, "tried", lambda *args: spoken.append(get_language()) or as_usual(*args)
    )
    form = {"variant": PAIR, "requests": 3}
    asked = {"SERVER_PORT": str(free_port()), "HTTP_ACCEPT_LANGUAGE": "tr"}
    request = RequestFactory().post("/", form, **asked)
    request._dont_enforce_csrf_checks = True
    response = trying.try_it(request, "blocking-call", lambda variant: "")
    said = b"".join(response).decode()
    response.close()
    assert spoken == ["tr"]
    assert said.count("Connect call failed") >= 2  # nobody listens there
    assert not trying.one_at_a_time.locked()


def test_second_burst_is_told_to_wait():
    with trying.one_at_a_time:
        response = post()
    assert response.status_code == 429
    assert "another burst is under way" in response.content.decode()


def test_form_is_not_offered_to_whom_it_refuses_unless_in_debug(settings):
    far = Client(REMOTE_ADDR="192.0.2.1")
    assert "Nothing can be tried from here" in (html := far.get("/blocking-call/").content.decode())
    assert '<form method="post"' not in html
    settings.DEBUG = True
    assert '<form method="post"' in far.get("/blocking-call/").content.decode()


def test_page_of_uploads_says_why_nothing_can_be_tried(client):
    assert "uploads, which are too much" in unescape(client.get("/uploads/").content.decode())


def test_who_opens_the_address_of_a_burst_comes_to_its_page(client):
    assert client.get("/blocking-call/try/").headers["Location"] == "/blocking-call/#try"


@pytest.mark.parametrize("slug", COMPARISONS)
def test_two_telling_variants_are_chosen_beforehand(client, slug):
    html = client.get(f"/{slug}/").content.decode()
    chosen = re.findall(r"<option selected>(\w+)<", html)
    assert len(chosen) == (0 if slug == "uploads" else 2)
    assert len({*chosen}) == len(chosen)
    if slug == "blocking-call":
        assert chosen == PAIR


# --- The process


@pytest.fixture
def silent():
    """A server that accepts, and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        yield {
            **{"address": "127.0.0.1", "port": listening.getsockname()[1], "host": "localhost"},
            **{"bystander": "/bystander/", "requests": 2, "limit_s": PATIENCE},
            "variants": [{"name": "sync", "path": "/", "leaves_after": None}],
        }


def test_burst_ends_with_the_process_that_started_it(silent):
    command = [sys.executable, "-I", "-S", burst.__file__, json.dumps(silent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.close()  # as the kernel does, however that process dies
        assert process.wait(PATIENCE) == 0
        assert process.stdout.read() == b""


def test_closing_the_answer_kills_the_burst_and_lets_the_next_one_begin(silent):
    assert trying.one_at_a_time.acquire(blocking=False)
    fired = trying.BurstInThread(silent, True, bytes.decode)
    fired.close()
    fired.close()
    assert fired.process.returncode == -signal.SIGKILL
    assert not trying.one_at_a_time.locked()


def test_burst_ends_in_time_and_tells_what_was_not_answered(silent):
    plan = silent | {"limit_s": 0.2}
    command = [sys.executable, "-I", "-S", burst.__file__, json.dumps(plan)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        events = [json.loads(line) for line in process.stdout]
    assert [(event["event"], event.get("unanswered")) for event in events] == [
        ("begun", None),
        ("over", 2),
    ]


def test_server_kills_the_burst_whose_client_leaves_and_takes_the_next_one(asgi):
    with asked(asgi, requests="20", variant="async_blocking") as stream:
        while b'"begun"' not in stream.readline():
            pass
        (child,) = bursts(asgi)
        child.suspend()  # it cannot end by itself
    until(lambda: not child.is_running())

    def next_one():
        with asked(asgi) as stream:
            return b" 200 " in stream.readline()

    until(next_one)


def test_server_tells_a_second_client_to_wait_and_what_happens_to_the_first(server):
    with asked(server) as first:
        while b'"begun"' not in first.readline():
            pass
        (child,) = bursts(server)
        child.suspend()
        try:
            with asked(server) as second:
                assert b" 429 " in second.readline()
        finally:
            child.resume()
        rest = first.read()
    assert rest.count(b'"ended"') == 3
    assert b'"shown"' in rest
    assert psutil.wait_procs([child], timeout=PATIENCE)[1] == []


# --- What is said of it


def timeline_of(views, *, alone=100.0, calls=(), variant="async_native"):
    requests = [Asked(n, 0, end, 200, (begin, end)) for n, (begin, end) in enumerate(views)]
    found = {v.name: v for v in BLOCKING.variants}[variant]
    over = max(end for _, end in views)
    return Timeline(found, alone, requests, [Call(0, took) for took in calls], over, [])


@pytest.mark.parametrize(
    ("views", "said"),
    [
        ([(0, 100), (100, 200), (200, 300)], "One after another"),
        ([(0, 100), (1, 101), (2, 102)], "Up to 3 were in the view at the same time."),
        ([(0, 100), (50, 150), (140, 240)], "Up to 2 were in the view at the same time."),
        ([(0, 310), (1, 320), (2, 330)], "All took 3.3 times as long as one alone"),
        ([(0, 2), (3, 5), (7, 9)], "too short to see"),
    ],
)
def test_sentence_says_how_many_were_in_the_view_at_once(views, said):
    assert said in " ".join(timeline_of(views).sentences)


def test_sentences_count_what_failed_and_what_was_not_answered():
    asked = [
        Asked(0, 0, 1020.4, 200),
        Asked(1, 0, 5, 503),
        Asked(2, 0, 6, why="reset"),
        Asked(3, 0),
    ]
    found = Timeline(BLOCKING.variants[0], 100, asked, [Call(0, 7)], 5000, [])
    assert found.sentences == [
        "4 requests sent at once, the last answered after 1,020 ms; 2 failed (503, reset);"
        " 1 without an answer when the time was up, after 5,000 ms; one alone took 100 ms.",
        "A bystander's call, which is answered at once, took up to 7 ms meanwhile.",
    ]


def test_output_that_was_cut_off_is_read_as_far_as_it_came():
    lines = [
        {"event": "begun", "variant": "sync", "alone": 100},
        {"event": "sent", "variant": "sync", "request": 0, "at": 1},
        {"event": "sent", "variant": "sync", "request": 1, "at": 2},
        {"event": "ended", "variant": "sync", "request": 1, "at": 90, "status": 200, "view": [8]},
    ]
    output = b"".join(json.dumps(line).encode() + b"\n" for line in lines) + b'{"event": "en'
    (found,) = burst_timeline.timelines(output, BLOCKING.variants[:1])
    assert found.requests == [Asked(0, 1), Asked(1, 2, 90, 200, (8, 90))]  # a stream's view


def test_command_serves_a_variant_as_it_is_measured():
    request = RequestFactory().get("/", SERVER_PORT="8000")

    def command(slug, name):
        variants = {variant.name: variant for variant in COMPARISONS[slug].variants}
        return serving.as_measured(request, COMPARISONS[slug], variants[name])

    serve = "python manage.py serve"
    assert command("blocking-call", "sync") == f"{serve} wsgi-threads --port 8001"
    assert command("cache", "sync") == f"{serve} wsgi-threads --round-trip 10 --port 8001"
    assert command("pool-size", "async_1") == f"{serve} pool-size/async_1"
    workers = command("workers", "async_two_processes")
    assert workers == f"{serve} asgi-uvicorn --workers 2 --port 8001"


def test_view_tells_when_it_ran_to_a_burst_alone(client):
    assert burst.TELLS_VIEW not in client.get("/many-waiting/sync/?seconds=0")
    response = client.get("/many-waiting/sync/?seconds=0", headers={burst.ASKS_FOR_VIEW: "1"})
    begun, ended = map(float, response[burst.TELLS_VIEW].split())
    assert begun <= ended


def test_burst_is_started_without_what_takes_long():
    """It imports nothing of ours, nor of what is installed."""
    code = f"import sys; sys.argv = ['']; import runpy; runpy.run_path({burst.__file__!r})"
    code += "; print('site' in sys.modules, 'django' in sys.modules)"
    environ = {name: os.environ[name] for name in ("PATH",)}
    said = subprocess.check_output([sys.executable, "-I", "-S", "-c", code], env=environ, text=True)
    assert said.split() == ["False", "False"]
