"""Deployments as real processes: started, known by their nonce, stopped whole."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Event

import psutil
import pytest

from comparisons.cores import CORES
from comparisons.offload import N, fib
from comparisons.pairs import many_waiting
from loadtests.running import servers
from loadtests.running.sampling import usage
from loadtests.running.servers import ServerError
from project.deployments import DEPLOYMENTS
from project.middleware import HEADER
from project.ports import free_port
from project.processes import BASE_DIR
from tests.support.clients import PATIENCE, SMALL, get_many, until
from tests.support.commands import here, python

POOLED = {"SERVED": "gil/async_process"}


def header_of(url):
    with servers.direct.open(f"{url}/bystander/", timeout=10) as response:
        return response.headers[HEADER]


ONE_OF_EACH_SERVER = ("wsgi-threads", "wsgi-granian", "asgi-uvicorn", "runserver")


@pytest.mark.parametrize(
    "deployment",
    [
        pytest.param(of, id=name, marks=() if name in ONE_OF_EACH_SERVER else pytest.mark.long)
        for name, of in DEPLOYMENTS.items()
    ],
)
def test_a_deployment_names_itself_and_is_gone_after_the_block(deployment):
    with servers.serving([deployment], [SMALL]) as (server,):
        assert header_of(server.url) == f"{deployment.name} {server.nonce}"
        family = psutil.Process(server.process.pid).children(recursive=True)
        assert usage(server).processes == 1 + len(family)
    assert not psutil.pid_exists(server.process.pid)
    assert psutil.wait_procs(family, timeout=PATIENCE)[1] == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8")
@pytest.mark.parametrize("deployment", DEPLOYMENTS.values(), ids=DEPLOYMENTS)
def test_server_listens_at_the_address_that_it_is_given_and_at_no_other(deployment):
    with servers.serving([deployment], [SMALL], address="127.0.0.2") as started:
        (server,) = started
        path = f"{server.url}/{SMALL['SERVED']}/"
        servers.direct.open(path, timeout=PATIENCE).close()  # its Host is allowed
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", server.port)) == errno.ECONNREFUSED
        server.process.kill()
        server.process.wait()
        assert servers.restart(started, 0).url.startswith("http://127.0.0.2:")


def test_block_that_does_not_wait_leaves_the_wait_to_the_next_one(monkeypatch):
    stop, wait_until_ready, may_end = servers.stop, servers.wait_until_ready, Event()

    def stop_when_told(started):
        may_end.wait(PATIENCE)
        stop(started)

    def see_the_first_one(server):
        wait_until_ready(server)
        assert first.process.returncode is None  # while this one has started
        may_end.set()

    monkeypatch.setattr(servers, "stop", stop_when_told)
    with servers.serving([DEPLOYMENTS["asgi-uvicorn"]], [SMALL], wait=False) as (first,):
        pass
    monkeypatch.setattr(servers, "wait_until_ready", see_the_first_one)
    with servers.serving([DEPLOYMENTS["asgi-uvicorn"]], [SMALL]):
        assert first.process.returncode is not None
        assert not first.log.parent.exists()


def test_block_that_an_error_ends_waits_in_any_case():
    with (
        pytest.raises(KeyError),
        servers.serving([DEPLOYMENTS["asgi-uvicorn"]], [SMALL], wait=False) as (server,),
    ):
        raise KeyError
    assert server.process.returncode is not None


# Of the servers that have workers of their own; the others are variants of the first.
WITH_WORKERS = [
    "wsgi-granian",
    *(pytest.param(name, marks=pytest.mark.long) for name in ("wsgi-gevent", "asgi-granian")),
]


@pytest.mark.parametrize(
    "name", [*WITH_WORKERS, pytest.param("asgi-granian-direct", marks=pytest.mark.long)]
)
def test_all_workers_answer_as_one_start_and_none_is_left(name):
    with servers.serving([DEPLOYMENTS[name].shaped(workers=2)], [SMALL]) as (server,):
        family = psutil.Process(server.process.pid).children(recursive=True)
        assert len(family) >= 2
        assert {header_of(server.url) for _ in range(10)} == {server.name}
    assert psutil.wait_procs(family, timeout=PATIENCE)[1] == []


@pytest.mark.parametrize("name", WITH_WORKERS)
def test_workers_do_not_outlive_their_server(name):
    with servers.serving([DEPLOYMENTS[name].shaped(workers=2)], [SMALL]) as (server,):
        family = psutil.Process(server.process.pid).children(recursive=True)
        server.process.kill()
        server.process.wait()
        assert server.death() == f"{name} died (signal 9)"
    assert psutil.wait_procs(family, timeout=PATIENCE)[1] == []


@pytest.mark.parametrize("name", WITH_WORKERS)
def test_a_server_of_workers_says_why_it_does_not_start(name):
    broken = replace(DEPLOYMENTS[name], app="project.nothing:application")
    with pytest.raises(ServerError, match=r"project\.nothing"), servers.serving([broken]):
        raise AssertionError("it started")


@pytest.mark.parametrize(
    "name",
    [
        *("asgi-uvicorn", "asgi-granian"),
        *(pytest.param(name, marks=pytest.mark.long) for name in ("wsgi-granian", "wsgi-threads")),
    ],
)
def test_server_whose_port_is_taken_meanwhile_says_so(name, tmp_path):
    """After it was found free, as any program may do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        server = servers.start(DEPLOYMENTS[name], port=port, log=tmp_path / "log")
        try:
            with pytest.raises(ServerError, match=r"(?i)address (already )?in use"):
                servers.wait_until_ready(server)
        finally:
            servers.stop([server])


def test_two_starts_of_a_deployment_are_told_apart():
    deployment = DEPLOYMENTS["asgi-uvicorn"]
    with servers.serving([deployment, deployment], [SMALL] * 2) as (one, other):
        assert header_of(one.url) != header_of(other.url)


def test_more_workers_are_more_processes():
    with servers.serving([DEPLOYMENTS["wsgi-threads"].shaped(workers=3)], [SMALL]) as (server,):
        # gunicorn's arbiter, and three workers
        assert usage(server).processes == 4


def test_a_server_that_does_not_start_says_why():
    deployment = DEPLOYMENTS["asgi-uvicorn"]
    broken = replace(deployment, app="project.nothing:application")
    with pytest.raises(ServerError, match=r"project\.nothing"), servers.serving([broken]):
        raise AssertionError("it started")


def test_server_is_asked_once_more_after_its_time_is_up(monkeypatch):
    # As after a Ctrl-Z while it starts: the time has passed, but nobody has asked.
    server = servers.start(DEPLOYMENTS["asgi-uvicorn"], SMALL)
    try:
        until(lambda: answers(server))
        monkeypatch.setattr(servers, "START_TIMEOUT_S", -1)
        servers.wait_until_ready(server)
    finally:
        servers.stop([server])


def answers(server):
    with suppress(OSError):
        return header_of(server.url)


def test_a_server_that_was_killed_tells_its_signal():
    with servers.serving([DEPLOYMENTS["asgi-uvicorn"]], [SMALL]) as (server,):
        assert server.death() is None
        server.process.kill()
        server.process.wait()
        assert server.death() == "asgi-uvicorn died (signal 9)"


def test_a_server_dies_with_the_process_that_started_it():
    code = (
        "import os, signal; from loadtests.running import servers;"
        "from project.deployments import DEPLOYMENTS;"
        "server = servers.start(DEPLOYMENTS['asgi-uvicorn']); servers.wait_until_ready(server);"
        "print(server.process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=BASE_DIR, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    orphan = int(done.stdout.split()[0])
    until(lambda: not psutil.pid_exists(orphan))


@contextmanager
def served(name, *options):
    """`manage.py serve`: its process, its port, and the line that it has printed."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "serve", name, "--port", str(port), *options],
        cwd=BASE_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, port, process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def port():
    """Of a deployment that tests only ask."""
    with served("asgi-uvicorn") as (_process, port, _line):
        yield port


def answer_at(port, name):
    """The status and text that the variant's URL answers."""
    try:
        with servers.direct.open(f"http://127.0.0.1:{port}/{name}/", timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("asgi-uvicorn", signal.SIGINT),
        pytest.param("asgi-granian", signal.SIGTERM, marks=pytest.mark.long),
        pytest.param("asgi-granian-direct", signal.SIGINT, marks=pytest.mark.long),
        pytest.param("wsgi-gevent", signal.SIGINT, marks=pytest.mark.long),
        pytest.param("wsgi-granian", signal.SIGTERM, marks=pytest.mark.long),
    ],
)
def test_serve_runs_in_the_foreground_until_it_is_interrupted(name, number):
    with served(name) as (process, port, line):
        assert f"http://127.0.0.1:{port}" in line
        assert header_of(f"http://127.0.0.1:{port}").startswith(f"{name} ")
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        assert process.wait(PATIENCE) == 128 + number
        assert psutil.wait_procs(family, timeout=PATIENCE)[1] == []


@pytest.fixture
def short_folder():
    """A folder for sockets, unlike tmp_path, whose name is too long for them."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def test_servers_leave_no_temporary_files(short_folder, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(short_folder))
    with servers.serving([DEPLOYMENTS["asgi-uvicorn"]], [POOLED]) as (server,):
        get_many(server, "/gil/async_process/", 1)
        assert list(short_folder.glob("*/pymp-*"))  # the process pool's socket
    assert list(short_folder.iterdir()) == []


def test_servers_have_room_for_sockets_where_tmpdir_is_long(tmp_path, monkeypatch):
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with servers.serving([DEPLOYMENTS["asgi-uvicorn"]], [POOLED]) as (server,):
        assert get_many(server, "/gil/async_process/", 1) == {200: 1}


def test_serve_leaves_no_temporary_files(short_folder):
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "serve", "asgi-uvicorn", "--port", str(port)],
        cwd=BASE_DIR,
        env=os.environ | {"TMPDIR": str(short_folder)},
        stdout=subprocess.PIPE,
    )
    process.stdout.readline()
    servers.direct.open(f"http://127.0.0.1:{port}/gil/async_process/", timeout=30).close()
    assert list(short_folder.glob("*/pymp-*"))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert list(short_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("asgi-uvicorn", "wsgi-threads", marks=pytest.mark.long),
        ("asgi-granian", "asgi-granian-direct"),
    ],
)
def test_serve_refuses_a_port_that_is_taken(first, second):
    """Granian itself would listen beside another granian (SO_REUSEPORT), and share its requests."""
    with served(first) as (_process, port, _line):
        done = python("manage.py", "serve", second, "--port", str(port))
        assert done.returncode == 2
        assert f"cannot listen on port {port}" in done.stderr


@pytest.mark.parametrize(
    ("name", "about", "body"),
    [
        (
            "sessions-and-users/async_cache",
            "uvicorn, one process",
            '{"user": "comparisons-reader"}',
        ),
        ("request-path/async_starlette_query", "uvicorn, one process", '{"ok": true}'),
        ("middleware/async_direct_one", "uvicorn, our handler, one process", '{"hello": "world"}'),
        ("workers/async_two_processes", "uvicorn, 2 processes", f'{{"fib": {fib(N)}}}'),
    ],
)
def test_serve_gives_a_variant_what_it_declares(name, about, body):
    with served(name) as (_process, port, line):
        assert line == f"{name}: {about}, at http://127.0.0.1:{port}/{name}/ (Ctrl-C ends it)\n"
        assert answer_at(port, name) == (200, body)


def test_serve_serves_the_variant_alone():
    with served("middleware/async_one") as (_process, port, _line):
        assert answer_at(port, "middleware/async_one")[0] == 200
        assert answer_at(port, "middleware/async_both")[0] == 404


def test_serve_gives_a_variant_its_shape_where_no_other_is_asked_for():
    with served("many-waiting/sync", "--database", "none") as (process, _port, _line):
        family = psutil.Process(process.pid).children(recursive=True)
        (server, *_) = (one for one in family if "gthread" in one.cmdline())
        assert f"--threads {many_waiting.THREADS}" in " ".join(server.cmdline())
        assert server.environ()["DATABASE_MODE"] == "none"


@pytest.mark.parametrize(
    ("options", "said", "proxies"),
    [
        ([], "services 10 ms away", ["10"]),
        (["--round-trip", "0"], "gthread worker, one process, at", []),
    ],
)
def test_serve_puts_services_where_the_variant_has_them(options, said, proxies):
    with served("django-cache/sync", *options) as (process, _port, line):
        assert said in line
        family = psutil.Process(process.pid).children(recursive=True)
        words = [one.cmdline() for one in family]
        found = [
            one[one.index("project.services.distance") + 1]
            for one in words
            if "project.services.distance" in one
        ]
        assert found == proxies
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        assert psutil.wait_procs(family, timeout=PATIENCE)[1] == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "asgi-uvicor",
            "there is no deployment or comparison 'asgi-uvicor'; did you mean 'asgi-uvicorn'?",
        ),
        (
            "request-path",
            "request-path is a comparison; one of its variants is request-path/sync",
        ),
        ("request-pth/sync", "there is no comparison 'request-pth'; did you mean 'request-path'?"),
        ("request-path/async_ours", "there is no variant of request-path called 'async_ours'"),
    ],
)
def test_serve_refuses_what_there_is_not_and_says_the_nearest(name, said):
    done = here("serve", name)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_serve_that_is_refused_ends_in_one_line():
    done = python("manage.py", "serve", "asgi-uvicor")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "did you mean 'asgi-uvicorn'?" in done.stderr


def test_deployment_without_a_variants_middleware_says_what_to_serve(port):
    name = "sessions-and-users/async_cache"
    line = f"{name} needs middleware that is not here: python manage.py serve {name}\n"
    assert answer_at(port, name) == (501, line)
    assert answer_at(port, "middleware/async_view") == (200, '{"hello": "world"}')


def locust(port, users, names, *arguments):
    """Run locust by hand until each of these is asked for, and return what it says.

    Two seconds are enough, but for a machine that is busy.
    """
    place = ["-f", "loadtests/locustfile.py", "--host", f"http://127.0.0.1:{port}"]
    load = ["--headless", "-u", str(users), "-r", str(users), "--only-summary"]
    for seconds in (2, 4, 8, 16, 32):
        end = ["-t", f"{seconds}s", "--stop-timeout", "30"]
        done = python("-m", "locust", *place, *load, *end, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        if all(f"{name} " in done.stderr for name in names):
            return done.stderr
    raise AssertionError(done.stderr)


def test_locust_by_tag_asks_a_deployment_for_that_comparisons_views_alone(port):
    """And for no application that stands in place of Django."""
    names = ("request-path/sync", "request-path/async_direct", "bystander")
    said = locust(port, 12, names, "--tags", "request-path", "--all-at-once")
    assert "blocking-call" not in said
    assert "GET      request-path/async_plain" not in said
    assert "no tasks" not in said


def test_locust_takes_class_names(port):
    said = locust(port, 3, ("print/async_silent", "bystander"), "PrintAsyncSilent", "Bystander")
    assert "print/sync" not in said


@pytest.mark.long
def test_locust_loads_an_application_in_place_of_django_if_its_class_is_named():
    with served("request-path/async_plain") as (_process, port, _line):
        locust(
            port, 3, ("request-path/async_plain", "bystander"), "RequestPathAsyncPlain", "Bystander"
        )


def test_ports_are_given_once():
    given = [free_port() for _ in range(100)]
    assert len(set(given)) == 100


@pytest.mark.parametrize(
    "path",
    [
        "/cpu-offload/async_process/",
        *(
            pytest.param(path, marks=pytest.mark.long)
            for path in (
                "/blocking-call/async_threaded/",
                "/blocking-call/async_native/",
                "/sequential-awaits/async_task_group/",
                "/worker-queue/async_worker_queue/",
                "/cpu-offload/async_new_process/",
            )
        ),
    ],
)
def test_a_hundred_requests_that_clients_leave_leave_no_task_thread_or_child_process(path):
    environ = {"DJANGO_SETTINGS_MODULE": "tests.support.counting_settings"}

    def tasks():
        with servers.direct.open(f"{server.url}/tasks/", timeout=30) as response:
            return json.load(response)

    with servers.serving([DEPLOYMENTS["asgi-uvicorn"]], [environ]) as (server,):
        get_many(server, path, 20, at_once=5)
        before, tasks_before = usage(server), tasks()
        get_many(server, path, 100, at_once=20, every=1, leave_after=0.02)
        until(lambda: tasks() <= tasks_before)
        # The loop's executor may have grown to its full size, a pool to one process a core.
        executor = min(32, CORES + 4)
        until(lambda: usage(server).threads <= before.threads + executor + CORES)
        until(lambda: usage(server).processes <= before.processes + CORES)
