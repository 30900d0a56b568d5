"""`manage.py advise`: from its arguments to its answer, on projects that are not ours."""

import json
import os
import pty
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress

import psutil
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from comparisons import result_store
from comparisons.advice import FORMULA, Advice
from project.processes import BASE_DIR
from tests.support import readers
from tests.support.clients import PATIENCE
from tests.support.commands import await_
from tests.support.readers import contents, copy_of, left_in


def command(folder, *arguments):
    words = [sys.executable, BASE_DIR / "manage.py", "advise", "--project", folder]
    output = [] if "--output" in arguments else ["--output", folder.parent / "result.json"]
    return [*map(str, [*words, "--python", sys.executable, *output, *arguments])]


def advise(folder, *arguments, **environ):
    return subprocess.run(
        command(folder, *arguments),
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE,
    )


@pytest.fixture
def polls(tmp_path):
    return readers.polls(tmp_path / "polls")


@pytest.fixture
def events(tmp_path):
    return copy_of("events", tmp_path / "events")


# --- The answer


@pytest.mark.long
def test_polls_get_an_answer_and_stay_as_they_are(polls, tmp_path):
    before = contents(polls)
    result = tmp_path / "r.json"
    urls = ["--url", "3 /polls/", "--url", "/polls/1/"]
    done = advise(polls, *urls, "--users", 4, "--output", result, "--now", "gunicorn mysite.wsgi")
    assert done.returncode == 0, done.stderr
    for title in ("What a request is made of", "Measured: 4 users at once", "What to run"):
        assert f"\n{title}\n" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80 or str(tmp_path) in done.stdout
    assert contents(polls) == before
    assert left_in(polls) == []
    advice = result_store.read(result).advice
    assert advice.asks == {"GET /polls/": 0.75, "GET /polls/1/": 0.25}
    assert {one.view for one in advice.profiles} == {
        "polls.views.IndexView",
        "polls.views.DetailView",
    }
    detail = next(one for one in advice.profiles if one.ask == "GET /polls/1/")
    assert detail.queries == 2
    assert {"now", FORMULA, "threads"} <= {one.name for one in advice.candidates}
    assert advice.sweeps
    assert {choice.base for choice in advice.choices} == {"now", FORMULA}
    assert Advice.from_row(json.loads(json.dumps(advice.as_row()))) == advice


@pytest.mark.long
def test_project_with_asgi_only_is_measured_under_it(events):
    done = advise(events, "--url", "/status/", "--users", 4, "--quick", "--check")
    assert done.returncode in (0, 3), done.stderr
    assert "uvicorn events.asgi:application" in done.stdout
    assert "gunicorn events" not in done.stdout
    assert "events.middleware.Stamped (events/middleware.py:1) takes sync" in done.stdout
    assert left_in(events) == []


@pytest.mark.long
def test_view_that_holds_the_loop_fails_the_check(events, tmp_path):
    views = events / "events" / "views.py"
    source = views.read_text().replace(
        "async def status(request):", "async def status(request):\n    time.sleep(0.05)"
    )
    views.write_text(f"import time\n{source}")
    done = advise(events, "--url", "/status/", "--users", 4, "--quick", "--check")
    assert done.returncode == 1, done.stderr
    assert "holds the event loop" in done.stdout
    last = done.stdout.splitlines()[-1]
    assert last == "✗ Holds the event loop: events/views.py:28: time.sleep(0.05)"


# --- What is wrong


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say what to ask for: --url /path/, --requests FILE or --locustfile FILE"),
        (["--url", "/a/", "--users", "4", "--rate", "3"], "two kinds of load"),
        (["--url", "/a/", "--env", "SECRET"], "--env: 'SECRET' is not NAME=VALUE"),
        (["--url", "http://shop.example/"], "shop.example"),
        (["--url", "/a/", "--against", "/nowhere.json"], "--against: /nowhere.json"),
        (["--url", "/a/", "--now", "apache2"], "--now: 'apache2' is none of gunicorn"),
        (["--locustfile", "l.py", "--url", "/a/"], "--locustfile says what is sent"),
        (["--requests", "/nowhere.txt"], "/nowhere.txt"),
        (["--url", "/a/", "--output", "/dev/null/r.json"], "cannot write /dev/null/r.json"),
    ],
)
def test_wrong_argument_is_one_line(events, arguments, said):
    before = contents(events)
    of_project = ["--project", str(events), "--python", sys.executable]
    with pytest.raises(CommandError) as refused:
        call_command("advise", *of_project, *arguments)
    assert refused.value.returncode == 2
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert contents(events) == before


def test_settings_are_the_projects_own(events):
    done = advise(events, "--url", "/a/", "--settings", "nothing.settings")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "nothing.settings cannot be loaded" in line


@pytest.mark.parametrize(
    ("url", "said"),
    [
        pytest.param("/endless/", "has not ended after", marks=pytest.mark.long),
        pytest.param("/nowhere/", "answers with 404", marks=pytest.mark.long),
        ("/status", "sends elsewhere (301 to /status/)"),
    ],
)
def test_answer_that_cannot_be_measured_is_one_line(events, url, said):
    done = advise(events, "--url", url)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert said in line
    assert left_in(events) == []


# --- Ctrl-C

# In a terminal: what it shows when it is there, and whether anything measured is kept by then.
STAGES = {
    "asks what a request is made of": ("looking into requests", False),
    "starts the load generators": ("starting the load generators", False),
    "measures rounds": ("measuring \N{BOX DRAWINGS HEAVY HORIZONTAL}", True),  # one is done
    "sweeps over users": ("more and more users at", True),
}


@pytest.mark.long
@pytest.mark.timeout(5 * PATIENCE)
@pytest.mark.parametrize("stage", STAGES)
def test_ctrl_c_ends_it_in_a_line_and_leaves_nothing_running(events, tmp_path, stage):
    shown, is_kept = STAGES[stage]
    before, result = contents(events), tmp_path / "result.json"
    with in_terminal(command(events, "--url", "/status/", "--users", 4)) as (process, screen):
        await_(lambda: shown in screen(), process, 4 * PATIENCE)
        if is_kept:
            await_(lambda: is_under_load(process), process)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert (process.wait(PATIENCE), process.stderr.read()) == (130, b"")
        said = screen()
    kept = ["result:", str(result)] if is_kept else []
    assert said.rpartition(BAR_GONE)[2].split() == ["stopped", "by", "SIGINT", *kept]
    files = {result, result_store.samples_path(result)} if is_kept else set()
    assert set(tmp_path.iterdir()) == {events, *files}
    if is_kept:
        assert result_store.read(result).measurements
    assert psutil.wait_procs(children, timeout=PATIENCE)[1] == []
    assert left_in(events) == []
    assert contents(events) == before


BAR_GONE = "\x1b[?25h\r\x1b[1A\x1b[2K"  # the cursor is there again, its line is empty


@contextmanager
def in_terminal(words):
    """The process, which does not outlive the block, and a function: all it has shown so far."""
    terminal, its = pty.openpty()
    os.set_blocking(terminal, False)
    shown = bytearray()

    def screen():
        with suppress(OSError):  # nothing more yet, or ever
            while part := os.read(terminal, 65536):
                shown.extend(part)
        return shown.decode()

    environ = os.environ | {"TERM": "xterm", "COLUMNS": "120", "NO_COLOR": "1"}
    with subprocess.Popen(words, stdout=its, stderr=subprocess.PIPE, env=environ) as process:
        os.close(its)
        try:
            yield process, screen
        finally:
            process.kill()
            os.close(terminal)


def is_under_load(process):
    """Whether a load generator has a connection to a server."""
    for child in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.Error):
            if "loadtests.generator" in child.cmdline() and child.net_connections("tcp"):
                return True
    return False
