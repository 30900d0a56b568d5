"""`manage.py advise`: from its arguments to its answer, on projects that are not ours."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from comparisons.advice import FORMULA, Advice
from comparisons.result_store import read
from project.processes import BASE_DIR
from tests.support import readers
from tests.support.clients import PATIENCE
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
    advice = read(result).advice
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
        ("/nowhere/", "answers with 404"),
        ("/status", "sends elsewhere (301 to /status/)"),
    ],
)
def test_answer_that_cannot_be_measured_is_one_line(events, url, said):
    done = advise(events, "--url", url)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert said in line
    assert left_in(events) == []


@pytest.mark.long
@pytest.mark.parametrize("stage", ["sends GET", "Worth measuring"])
def test_ctrl_c_leaves_nothing_running(events, stage):
    before = contents(events)
    process = subprocess.Popen(
        command(events, "--url", "/status/"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if stage in line:
            break
    time.sleep(1)  # into whatever comes next
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert left_in(events) == []
    assert contents(events) == before
