"""What the probes say of planted faults, in the server of a project that is not ours."""

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from loadtests.advising.deployments import deployments_of
from loadtests.advising.subject import find_subject
from loadtests.running.servers import direct, serving
from tests.support.clients import PATIENCE
from tests.support.readers import planted

ALONE, TOGETHER = 5, 8
pytestmark = pytest.mark.needs("cc")


class Slow(BaseHTTPRequestHandler):
    """What `rates` asks: it takes its time."""

    def do_GET(self):
        time.sleep(0.05)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"1.1")

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def upstream():
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return planted(tmp_path_factory.mktemp("theirs") / "shop")


@pytest.fixture(scope="module")
def deployments(folder, upstream):
    return deployments_of(find_subject(folder, None, sys.executable, {"UPSTREAM": upstream}))


def of_module(name, **shape):
    @pytest.fixture(scope="module")
    def server(deployments):
        with serving([replace(deployments[name], workers=1, probes=True, **shape)]) as (server,):
            yield server

    return server


asgi = of_module("asgi-uvicorn")
wsgi = of_module("wsgi-threads", threads=TOGETHER)


@pytest.fixture
def server(request):
    return request.getfixturevalue(request.param)


def get(server, path):
    with direct.open(server.url + path, timeout=PATIENCE) as response:
        return response.read()


def probes(server, word=""):
    return json.loads(get(server, f"{server.deployment.own_paths}probes/?{word}"))


def seen(server, path):
    """What the probes say of requests alone, and then of several at once."""
    get(server, path)  # the first of all imports
    probes(server, "begin")
    for _ in range(ALONE):
        get(server, path)
    with ThreadPoolExecutor(TOGETHER) as threads:
        list(threads.map(lambda _: get(server, path), range(TOGETHER)))
    while probes(server)["running"]:
        time.sleep(0.01)
    found = probes(server, "end")
    assert found["requests"] == ALONE + TOGETHER
    return found


def lines(found, kind):
    return [line for line in found["lines"] if line["kind"] == kind]


@pytest.fixture
def place(folder):
    """Where a comment stands: `shop/views.py:31`."""

    def place(comment, file="shop/views.py"):
        texts = (folder / file).read_text().splitlines()
        (number,) = (n for n, text in enumerate(texts, 1) if text.endswith(f"  # {comment}"))
        return f"{file}:{number}"

    return place


def places(found, kind):
    return [line["place"] for line in lines(found, kind)]


@pytest.mark.parametrize(
    ("path", "comment", "file"),
    [
        ("/rates/", "asks", "shop/prices.py"),
        ("/compressed/", "keeps the GIL", "shop/views.py"),
        ("/hashed/", "gives the GIL away", "shop/views.py"),
        ("/computed/", "computes", "shop/views.py"),
        ("/bridged/", "asks the database on the loop", "shop/views.py"),
        ("/streamed/", "blocks in the stream", "shop/views.py"),
    ],
)
def test_what_holds_the_loop_is_named_and_nothing_else(asgi, place, path, comment, file):
    (line,) = lines(seen(asgi, path), "holds")
    assert line["place"] == place(comment, file)
    assert line["others"] > 0


def test_call_of_a_library_is_the_line_that_calls_it_and_what_it_does(asgi):
    (line,) = lines(seen(asgi, "/rates/"), "holds")
    assert line["code"].startswith("answer = requests.get(url")
    assert line["calls"] == "socket.SocketIO.readinto"


def test_slow_template_is_named_by_its_line(asgi):
    assert places(seen(asgi, "/listed/"), "holds") == ["shop/templates/listed.html:3"]


@pytest.mark.parametrize("server", ["asgi", "wsgi"], indirect=True)
def test_nothing_holds_a_loop_where_views_are_clean(server):
    assert places(seen(server, "/clean/"), "holds") == []
    assert places(seen(server, "/clean-sync/"), "holds") == []


@pytest.mark.parametrize(
    ("path", "comment", "file"),
    [
        ("/rates/", "asks", "shop/prices.py"),
        ("/streamed/", "blocks in the stream", "shop/views.py"),
        ("/clean/", "waits on its loop", "shop/views.py"),
    ],
)
def test_async_view_under_wsgi_is_seen_in_the_thread_that_it_takes(
    wsgi, place, path, comment, file
):
    found = seen(wsgi, path)
    assert places(found, "thread") == [place(comment, file)]
    assert places(found, "awaits") == []


def test_lock_held_across_an_await_is_where_they_wait(asgi, place):
    found = seen(asgi, "/locked/")
    assert places(found, "holds") == []
    assert place("waits for the lock") in places(found, "awaits")


def test_query_in_a_thread_is_found_where_it_was_asked_for_and_holds_nothing(asgi, place):
    found = seen(asgi, "/stored/")
    assert places(found, "query") == [place("asks it in a thread")]
    assert places(found, "holds") == []
    assert "shop/views.py" in {hop["place"].partition(":")[0] for hop in found["hops"]}


def test_query_on_a_loop_that_only_one_request_has_holds_nobody(wsgi, place):
    found = seen(wsgi, "/bridged/")
    assert places(found, "query") == [place("asks the database on the loop")]
    assert places(found, "holds") == []


def test_waiting_sync_view_is_seen_in_its_thread(wsgi, place):
    found = seen(wsgi, "/clean-sync/")
    assert places(found, "thread") == [place("waits in its thread")]
    assert found["view"]["name"] == "shop.views.clean_sync"
    assert found["hops"] == []
