"""locust by hand: variants take turns. Real locust processes, against a server of ours.

It writes down who asks it for what, in order; a test says how it answers each variant.
"""

import re
import signal
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby

import pytest

from project.ports import free_port
from project.processes import BASE_DIR
from tests.support.clients import PATIENCE, until
from tests.support.commands import python
from tests.support.scripted import BODY, WHO

LOCUST = ["-m", "locust", "-f", "loadtests/locustfile.py"]
BLOCKING, THREADED, NATIVE = (
    f"blocking-call/{name}" for name in ("async_blocking", "async_threaded", "async_native")
)
SHORT = ["--turn-seconds", "1", "--stop-timeout", "1", "--tags", "blocking-call"]


@dataclass
class Server:
    """statuses: of each path that is not answered 200; 0 never answers."""

    statuses: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)  # paths of variants, and the bystander's
    under_way: list = field(default_factory=list)
    at_once: dict = field(default_factory=dict)  # how many at most
    closing: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def answer(self, handler):
        name = handler.path.strip("/")
        self.asked.append(name)
        self.under_way.append(name)
        self.at_once[name] = max(self.at_once.get(name, 0), self.under_way.count(name))
        status = self.statuses.get(name, 200)
        if not status:
            self.closing.wait(PATIENCE)
        self.under_way.remove(name)
        handler.send_response(status or 200)
        handler.send_header("X-Deployment", WHO)
        handler.send_header("Content-Length", str(len(BODY)))
        handler.end_headers()
        handler.wfile.write(BODY)

    def turns(self):
        """The variants in the order in which they were loaded; each was asked once before all."""
        variants = [name for name in self.asked if name != "bystander"]
        for name in {*variants}:
            variants.remove(name)
        return [name for name, _ in groupby(variants)]


@contextmanager
def serving(**statuses):
    server = Server({f"blocking-call/{name}": status for name, status in statuses.items()})

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            server.answer(self)

        def log_message(self, *_):
            pass

    class Http(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):
            """A client has left."""

    with Http(("127.0.0.1", 0), Handler) as http:
        server.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            http.shutdown()
            thread.join()


@contextmanager
def started(*arguments):
    """A locust process that ends with the block."""
    process = subprocess.Popen(
        [sys.executable, *LOCUST, *arguments],
        cwd=BASE_DIR,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def rows(said):
    """The table's lines, as words by variant."""
    _, _, table = said.partition("p99 ms  bystander\n")
    assert max(map(len, table.splitlines())) <= 80
    return {words[0]: words[1:] for words in map(str.split, table.splitlines()) if len(words) == 7}


@pytest.fixture(scope="module")
def run():
    """One user a variant: the first is answered, the second fails, the third hears nothing."""
    with serving(async_threaded=500, async_native=0) as server:
        done = python(*LOCUST, "--host", server.url, "--headless", "-u", "1", *SHORT)
    return server, done.stderr


def test_variants_take_turns_in_reading_order(run):
    server, said = run
    assert server.turns() == [BLOCKING, THREADED, NATIVE]
    assert re.findall(r"turn \d of 3: \S+", said) == [
        f"turn {number} of 3: {name},"
        for number, name in enumerate((BLOCKING, THREADED, NATIVE), 1)
    ]


def test_the_one_user_is_the_variants_and_the_bystander_stands_beside(run):
    server, _ = run
    assert server.at_once[BLOCKING] == server.at_once[THREADED] == 1
    first = server.asked.index(THREADED, server.asked.index(THREADED) + 1)  # in its turn
    last = len(server.asked) - server.asked[::-1].index(THREADED)
    assert "bystander" in server.asked[first:last]


def test_variant_of_the_other_interface_is_left_out_with_a_line(run):
    server, said = run
    assert "blocking-call/sync" not in server.asked
    line = "left out: blocking-call/sync: needs WSGI (manage.py serve wsgi-threads)"
    assert line in said


def test_table_has_what_fails_and_what_is_never_answered(run):
    _, said = run
    table = rows(said)
    assert list(table) == ["async_blocking", "async_threaded", "async_native"]
    assert table["async_blocking"][1] == "0"
    failing = table["async_threaded"]
    assert int(failing[0]) > 0
    assert failing[1] == failing[0]
    assert failing[2] == "0.0"  # served
    assert table["async_native"][:5] == ["0", "0", "0.0", "-", "-"]
    assert float(table["async_native"][5]) >= 0


@pytest.mark.long
def test_master_counts_what_its_workers_were_answered():
    port = str(free_port())
    with serving() as server:
        master = ["--master", "--master-bind-port", port, "--expect-workers", "1", "--headless"]
        with (
            started("--worker", "--master-port", port) as worker,
            started(*master, "--host", server.url, *SHORT, "-E", "async_threaded") as process,
        ):
            _, said = process.communicate(timeout=PATIENCE)
            _, of_worker = worker.communicate(timeout=PATIENCE)
    assert (process.returncode, worker.returncode) == (0, 0), said + of_worker
    assert "Traceback" not in said + of_worker
    assert server.turns() == [BLOCKING, NATIVE]
    counted = {name: int(row[0]) for name, row in rows(said).items()}
    assert counted == {
        name.partition("/")[2]: server.asked.count(name) - 1 for name in (BLOCKING, NATIVE)
    }


@pytest.mark.long
def test_page_begins_turns_again_and_again():
    port = free_port()

    def ask(path, data=None):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", data, PATIENCE) as answer:
            return answer.read()

    def answers():
        with suppress(OSError):
            return ask("worker-count")

    with serving() as server:
        page = ["--web-host", "127.0.0.1", "--web-port", str(port)]
        tags = [*SHORT, "-E", "async_threaded"]
        with started(*page, "--host", server.url, *tags) as process:
            lines = []
            reading = threading.Thread(target=lambda: lines.extend(process.stderr))
            reading.start()
            until(answers)
            assert b"Swarming started" in ask("swarm", b"user_count=1&spawn_rate=1")
            until(lambda: b'"stopped"' in ask("stats/requests"))
            assert server.turns() == [BLOCKING, NATIVE]
            assert b"Swarming started" in ask("swarm", b"user_count=1&spawn_rate=1")
            until(lambda: server.turns() == [BLOCKING, NATIVE] * 2 + [BLOCKING])  # asked once each
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
            reading.join()
    assert "Traceback" not in "".join(lines)
    assert len(re.findall("(?m)^blocking-call .* bystander$", "".join(lines))) == 2


REFUSED = [
    (
        ["--tags", "blocking-cal"],
        "nothing has the tag 'blocking-cal'; did you mean 'blocking-call'?",
    ),
    pytest.param(
        ["--tags", "cache", "--host", "http://127.0.0.1:1"],
        "no server answers at http://127.0.0.1:1",
        marks=pytest.mark.long,
    ),
]


@pytest.mark.parametrize(("arguments", "why"), REFUSED)
def test_refusal_is_one_line(arguments, why):
    done = python(*LOCUST, "--headless", *arguments)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if "Starting Locust" not in line]
    assert f"locust: {why}" in line
