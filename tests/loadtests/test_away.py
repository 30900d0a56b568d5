"""A process elsewhere, by a command that runs words here: what both ends say and do."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from loadtests import away
from loadtests.away import AwayError, Place
from tests.support.clients import until

HERE = Place.of("env", None)
# Says who it is, and back what it hears.
ECHO = """
import json, os, sys
print(json.dumps({"pid": os.getpid(), "heard": os.environ.get("HEARD")}), flush=True)
for line in sys.stdin:
    print(line, end="", flush=True)
"""
SLEEP = "import json, os, time; print(json.dumps({'pid': os.getpid()}), flush=True); time.sleep(99)"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Makes a module of this source, which Python finds by its name."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def make(source):
        (tmp_path / "of_a_test.py").write_text(source)
        return "of_a_test"

    return make


@pytest.fixture
def echo(module, tmp_path):
    with away.running(HERE, tmp_path / "log", module(ECHO), [], {"HEARD": "this"}) as far:
        yield far


def test_lines_go_both_ways(echo):
    assert echo.hear(30)["heard"] == "this"
    echo.say({"a": [1, "ü"]})
    assert echo.hear(30) == {"a": [1, "ü"]}


def test_nothing_said_is_none_and_no_loss(echo):
    echo.hear(30)
    assert echo.hear(0) is None
    assert not echo.why_lost()


def test_its_end_ends_what_runs_there(module, tmp_path):
    with away.running(HERE, tmp_path / "log", module(SLEEP)) as far:
        pid = far.hear(30)["pid"]
    assert not psutil.pid_exists(pid)


def test_connection_that_ends_ends_what_runs_there(module, tmp_path):
    with away.running(HERE, tmp_path / "log", module(SLEEP)) as far:
        process = psutil.Process(far.hear(30)["pid"])
        os.kill(far._process.pid, signal.SIGKILL)
        with pytest.raises(AwayError, match="env: the connection was lost"):
            far.hear(30)
        psutil.wait_procs([process], timeout=30)
        assert not process.is_running()


@pytest.mark.long
def test_far_end_that_hears_nothing_ends_what_runs_there(module, tmp_path):
    """As behind a cable that was cut: nobody closes the connection."""
    words = [sys.executable, "-m", "loadtests.away"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as far:
        job = {"module": module(SLEEP), "argv": [], "environ": {}}
        far.stdin.write(json.dumps(job).encode() + b"\n")
        far.stdin.flush()
        pid = next(json.loads(line)["pid"] for line in far.stdout if line.strip())
        began = time.monotonic()
        until(lambda: not psutil.pid_exists(pid))
        assert time.monotonic() - began > away.SILENCE_S / 2
        far.stdin.close()


@pytest.mark.long
def test_near_end_that_hears_nothing_says_so(module, tmp_path):
    with away.running(HERE, tmp_path / "log", module(SLEEP)) as far:
        far.hear(30)
        os.kill(far._process.pid, signal.SIGSTOP)
        with pytest.raises(AwayError, match="env: nothing heard for 10 s: the connection is lost"):
            far.hear(30)
        os.kill(far._process.pid, signal.SIGCONT)


def test_what_ended_it_is_the_last_word(module, tmp_path):
    name = module("import nothing_like_it")
    no_module = "env: ModuleNotFoundError: No module named 'nothing_like_it'"
    with (
        away.running(HERE, tmp_path / "log", name) as far,
        pytest.raises(AwayError, match=no_module),
    ):
        far.hear(30)


def test_command_that_fails_is_said_in_its_own_words(tmp_path):
    place = Place.of("sh -c 'echo no route to load1 >&2' load1", None)
    with (
        away.running(place, tmp_path / "log", "x") as far,
        pytest.raises(AwayError, match="load1: the connection ended: no route to load1"),
    ):
        far.hear(30)


@pytest.mark.parametrize(
    ("command", "checkout", "problem"),
    [
        ("", None, "'': no such program"),
        ("no-such-program load1", None, "'no-such-program load1': no such program"),
        ("ssh 'load1", None, "No closing quotation"),
        ("env", "/home/a b", "'/home/a b': a shell on the way could misread this path"),
        ("env", "/home/$x", "could misread"),
    ],
)
def test_place_that_makes_no_sense_is_refused(command, checkout, problem):
    with pytest.raises(AwayError) as refusal:
        Place.of(command, checkout)
    assert problem in str(refusal.value)


def test_checkout_elsewhere_has_its_own_python():
    place = Place.of("ssh -p 2222 load1", "/srv/sync/")
    assert place.name == "load1"
    assert place.argv()[-5:] == [
        "-C",
        "/srv/sync",
        "/srv/sync/.venv/bin/python",
        "-m",
        "loadtests.away",
    ]
