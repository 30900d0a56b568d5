"""`compare --servers-on`: the half that measures is another process, and can be lost."""

import gzip
import io
import json
import os
import platform
import signal
import subprocess
import sys
from contextlib import closing

import psutil
import pytest
from django.core.management import CommandError
from rich.console import Console

from comparisons.management.commands.newpair import SKELETON
from comparisons.pairs import COMPARISONS
from comparisons.result import Hold, Result, now
from comparisons.result_store import samples_path
from loadtests.away import Place
from loadtests.judging.declared import Declared
from loadtests.management.commands import compare
from loadtests.running import events, remote
from loadtests.running.events import Begins, Chosen, Ends, Failed, Measured, Started
from loadtests.running.schedule import QUICK
from loadtests.running.servers import ServerError
from loadtests.running.workers import Crew
from project.errors import FatalError
from project.processes import BASE_DIR
from tests.support.commands import await_, here
from tests.support.made import made_round

ELSEWHERE = [sys.executable, "manage.py", "compare", "--servers-on", "env", "--quick"]
FIRST, SECOND = "print", "across-requests"  # short, and waiting: they take little CPU
DECLARED = Declared.of(COMPARISONS["blocking-call"])
LEFT_S = 40  # until all has ended: servers and the far end have ten seconds and more each


@pytest.fixture
def elsewhere(tmp_path):
    """Start one with these arguments; return it and its result file."""
    started = []

    def start(*arguments, **environ):
        path = tmp_path / "result.json"
        started.append(
            subprocess.Popen(
                [*ELSEWHERE, *arguments, "--output", str(path)],
                cwd=BASE_DIR,
                env=os.environ | environ,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1], path

    yield start
    for process in started:
        process.kill()
        process.communicate()


def rounds_of(path):
    with gzip.open(samples_path(path), "rt") as file:
        return [json.loads(line) for line in file]


def running_in(process, module):
    """The process of ours that it has started, directly or not, to run this module."""
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if child.cmdline()[-2:] == ["-m", module]:
                return child
        except psutil.NoSuchProcess:
            continue
    return None


# --- What is found


def test_run_elsewhere_finds_what_one_here_does_and_says_where(elsewhere):
    process, path = elsewhere(FIRST)
    out, err = process.communicate(timeout=110)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("servers: env at 127.0.0.1, 0.")
    result = json.loads(path.read_text())
    assert len(result["verdicts"]) == 4
    assert len(rounds_of(path)) >= 3 * QUICK.looks[0]
    servers, load, *databases = result["environment"]["hosts"]
    assert (servers["role"], servers["name"], servers["address"]) == ("servers", "env", "127.0.0.1")
    assert (load["role"], load["name"]) == ("load generator", "here")
    assert {servers["hostname"], load["hostname"]} == {platform.node()}
    assert [row["name"] for row in databases] == ["postgres", "valkey"]
    assert all(row["round_trip_ms"] > 0 for row in (servers, load, *databases))


@pytest.mark.long
def test_log_of_a_failing_view_is_brought_here(elsewhere, tmp_path):
    pair = tmp_path / "my_first.py"
    broken = 'HttpRequest) -> JsonResponse:\n    raise ValueError("planted")\n'
    pair.write_text(SKELETON.read_text().replace("HttpRequest) -> JsonResponse:\n", broken, 1))
    process, path = elsewhere(str(pair))
    _out, err = process.communicate(timeout=110)
    log = path.with_name("result.logs") / "my-first-sync.log"
    why = f"sync answers with status 500: ValueError: planted (its server's log: {log})"
    assert err == f"manage.py compare: my-first: {why}\n"
    assert process.returncode == 2
    assert "planted" in log.read_text()


@pytest.mark.parametrize(
    "event",
    [
        Chosen(("a line",), 12),
        Started({"python": "3"}, {"capacity": 1.5}, {"latency_ms": 1, "cpu_ms": 2}, ("valkey",)),
        Begins(DECLARED),
        Measured(made_round(held=[Hold("a.py:1", "x()", "", 1, 1, 1, 1)], broken=["why"])),
        Failed("blocking-call", "a reason"),
        Ends("blocking-call"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_event_is_the_same_after_the_way(event):
    came = events.from_row(json.loads(json.dumps(events.as_row(event))))
    assert type(came) is type(event)
    assert json.loads(json.dumps(came.as_row())) == json.loads(json.dumps(event.as_row()))


# --- What is refused


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--servers-on", "no-such-program x"], "--servers-on: 'no-such-program x'"),
        (["--servers-on", "env", "--pin"], "--pin is for one load generator"),
        (["--address", "127.0.0.1"], "--address: of what?"),
    ],
)
def test_machine_that_makes_no_sense_is_refused(arguments, said):
    done = here("compare", FIRST, *arguments)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        ([FIRST, "--deployment", "wsgi"], {}, "there is no deployment 'wsgi'"),
        ([FIRST, "--address", "192.0.2.1"], {}, "--address 192.0.2.1: Cannot assign"),
        ([FIRST], {"DATABASE_URL": "postgres://127.0.0.1:1/none"}, "DATABASE_URL postgres://127"),
    ],
)
def test_what_is_refused_there_is_said_here_in_the_same_line(elsewhere, arguments, environ, said):
    process, path = elsewhere(*arguments, **environ)
    _out, err = process.communicate(timeout=110)
    (line,) = err.splitlines()
    assert said in line
    assert (process.returncode, path.exists()) == (2, False)


def test_other_code_is_refused_with_both_commits(monkeypatch, tmp_path):
    monkeypatch.setattr(remote, "version", lambda: {"commit": "abc+", "code": "other"})
    monkeypatch.setattr(remote, "_environ", dict)
    asked = remote.run_there(Place.of("env", None), {}, 1, tmp_path, Crew(1), None)
    with closing(asked), pytest.raises(CommandError) as error:
        next(asked)
    assert str(error.value).startswith("env has other code of this project, or of your pairs: ")
    assert str(error.value).endswith(" there, abc with changes here")


def test_command_that_runs_something_else_is_told_from_a_slow_one(monkeypatch, tmp_path):
    """`tee` says back all that it is told, and never ends."""
    monkeypatch.setattr(remote, "HELLO_TIMEOUT_S", 1)
    monkeypatch.chdir(tmp_path)
    tee = Place("sh -c tee", tmp_path)
    asked = remote.run_there(tee, {}, 1, tmp_path, Crew(1), None)
    with closing(asked), pytest.raises(ServerError, match="nothing of this project has answered"):
        next(asked)


def test_machine_that_cannot_be_reached_is_said_before_load_generators_start():
    crew = Crew(1, address="127.0.0.1")
    with pytest.raises(ServerError, match=r"^app: 127\.0\.0\.1:1 cannot be reached from here: Con"):
        remote._round_trip_ms("app", crew, 1)


@pytest.mark.parametrize(
    ("there", "here", "address"),
    [
        ("10.0.0.1 5000 10.0.0.2 22", None, "10.0.0.2"),
        ("10.0.0.1 5000 10.0.0.2 22", "10.0.0.9 4000 10.0.0.1 22", "10.0.0.2"),
        ("10.0.0.9 4000 10.0.0.1 22", "10.0.0.9 4000 10.0.0.1 22", "127.0.0.1"),  # no ssh between
        (None, None, "127.0.0.1"),
    ],
)
def test_address_is_that_which_ssh_has_reached(there, here, address, monkeypatch):
    monkeypatch.delenv(remote.SSH, raising=False)
    if here:
        monkeypatch.setenv(remote.SSH, here)
    assert remote._address(there) == address


# --- Losses


@pytest.mark.long
@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("loadtests.running.remote", "env: died (signal 9)"),
        ("loadtests.away", "env: the connection was lost"),
    ],
)
def test_far_end_that_is_killed_ends_the_run_in_a_line(module, line, elsewhere):
    process, path = elsewhere(FIRST, SECOND)
    await_(lambda: path.exists() and path.stat().st_size, process, 100)
    family = psutil.Process(process.pid).children(recursive=True)
    running_in(process, module).kill()
    out, err = process.communicate(timeout=110)
    assert (process.returncode, err) == (2, f"manage.py compare: {line}\n")
    assert f"result: {path}" in out
    assert {round_["comparison"] for round_ in rounds_of(path)} >= {FIRST}
    assert psutil.wait_procs(family, timeout=LEFT_S)[1] == []


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGKILL, -9, marks=pytest.mark.long)],
)
def test_near_end_that_ends_leaves_nothing(number, status, elsewhere):
    process, path = elsewhere(FIRST, SECOND)
    await_(lambda: path.exists() and path.stat().st_size, process, 100)
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    _out, err = process.communicate(timeout=110)
    assert (process.returncode, err) == (status, "")
    assert psutil.wait_procs(family, timeout=LEFT_S)[1] == []


def test_rounds_of_the_comparison_under_way_are_kept_when_the_far_end_is_lost(tmp_path):
    def lost():
        yield Started({}, {"capacity": 1}, {})
        yield Begins(DECLARED)
        yield Measured(made_round())
        raise FatalError("app: the connection was lost")

    path = tmp_path / "result.json"
    run = compare.Run(path, Result(started=now()), QUICK, pinned=False)
    with pytest.raises(FatalError):
        compare.take(lost(), 9, run, Console(file=io.StringIO()))
    assert [round_["variant"] for round_ in rounds_of(path)] == ["async_native"]
