"""`manage.py compare`, end to end: real servers, real locust load, its files and exit statuses."""

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise

import psutil
import pytest
from django.conf import settings
from django.core.management import load_command_class

from comparisons import result_store
from comparisons.cores import CORES
from loadtests.judging.rounds import Round
from loadtests.judging.validity import MAX_STALL_S, why_disturbed
from loadtests.running.schedule import QUICK
from project.processes import BASE_DIR
from tests.support.clients import until
from tests.support.commands import await_, here, python
from tests.support.prepared import copied, environ_of

COMPARE = [sys.executable, "manage.py", "compare"]
SLUGS = ("print", "across-requests")  # short, and waiting: they take little CPU


def compare(*arguments, **environ):
    return python("manage.py", "compare", *arguments, **environ)


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory):
    path = tmp_path_factory.mktemp("results") / "result.json"
    against = str(settings.RESULTS_DIR / result_store.REFERENCE)
    arguments = ("--output", str(path), "--seed", "7", "--against", against)
    return compare("print", "--quick", *arguments), path


def test_run_ends_with_the_count_of_its_verdicts(quick_run):
    done, path = quick_run
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    counts = re.fullmatch(r"(\d+) held, (\d+) refuted, (\d+) inconclusive, (\d+) invalid", last)
    assert sum(map(int, counts.groups())) == len(json.loads(path.read_text())["verdicts"]) == 4


def test_run_says_what_changed_before_its_last_line(quick_run):
    done, path = quick_run
    counted = re.fullmatch(
        r"(\d+) changed, (\d+) same, (\d+) can't tell", done.stdout.splitlines()[-2]
    )
    assert sum(map(int, counted.groups())) == 4
    assert f"(before) to {path} (after)" in " ".join(done.stdout.split())
    assert "--quick: – before, True after" in done.stdout


def test_result_file_keeps_its_promised_keys(quick_run):
    result = json.loads(quick_run[1].read_text())
    assert result["schema"] == 1
    assert {"python", "django", "asgiref", "psycopg", "postgres", "locust", "uvicorn"} <= set(
        result["environment"]
    )
    assert {"gunicorn", "platform", "cpu_model", "cpu_count", "commit"} <= set(
        result["environment"]
    )
    assert [row["variant"] for row in result["measurements"]] == [
        "sync",
        "async_print",
        "async_silent",
    ]
    for row in result["measurements"]:
        assert row["valid"] == (row["invalid_because"] == [])
        assert row["rounds"] <= 12
        assert row["failures"] == 0
        assert row["requests"] > 0
        assert row["throughput"]["low"] <= row["throughput"]["mean"] <= row["throughput"]["high"]
        assert row["latency_ms"]["p50"] <= row["latency_ms"]["p95"] <= row["latency_ms"]["p99"]
        assert (
            row["bystander_ms"]["p50"] <= row["bystander_ms"]["p99"] <= row["bystander_ms"]["max"]
        )
        assert row["server"]["processes"] >= 1
        assert row["server"]["rss_mb"] > row["server"]["idle_mb"] > 10
        assert row["ceiling"] > 0
        assert 0 < row["load_generator_cpu"] < 1
    for verdict in result["verdicts"]:
        assert {"comparison", "expectation", "verdict", "measured", "low", "high"} <= set(verdict)


def rounds_of(path):
    with gzip.open(path.with_name(f"{path.stem}.samples.jsonl.gz"), "rt") as file:
        return [json.loads(line) for line in file]


def test_every_round_is_kept_with_its_raw_samples(quick_run):
    rounds = rounds_of(quick_run[1])
    assert len(rounds) >= 3 * QUICK.looks[0]  # and those that were disturbed and measured again
    assert all(len(round_["samples"][0]) == 5 for round_ in rounds)


def test_every_block_has_every_variant_once(quick_run):
    """Of the first look; after it only those in doubt go on. One that was disturbed is repeated."""
    rounds = [Round.from_row(row) for row in rounds_of(quick_run[1])]
    first = [round_ for round_ in rounds if round_.block <= QUICK.looks[0]]
    every = {(b, v) for b in (1, 2, 3) for v in ("async_print", "async_silent", "sync")}
    assert {(round_.block, round_.variant) for round_ in first} == every
    sound = Counter((r.block, r.variant) for r in first if not why_disturbed(r))
    assert set(sound.values()) <= {1}


def test_rounds_after_a_look_are_those_of_servers_started_anew(quick_run):
    for round_ in rounds_of(quick_run[1]):
        assert round_["server_start"] == 1 + sum(round_["block"] > look for look in QUICK.looks)


def test_result_file_is_never_overwritten(quick_run):
    path = quick_run[1]
    before = path.read_bytes()
    done = compare("cpu-bound", "--output", str(path))
    assert (done.returncode, path.read_bytes()) == (2, before)
    assert "never overwritten" in done.stderr


def test_list_names_every_comparison_and_measures_nothing(tmp_path):
    done = compare("--list", "--output", str(tmp_path / "none.json"))
    assert done.returncode == 0
    assert "blocking-call" in done.stdout
    assert "at least 3" not in done.stdout  # a line for each; all about one with its SLUG
    detail = re.sub(r"\s+", " ", here("compare", "--list", "blocking-call").stdout)
    assert "serves at least 3 times as many requests a second as async_blocking" in detail
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["blocking-cal"], "did you mean 'blocking-call'?"),
        (["--deployment", "uvicorn"], "did you mean 'asgi-uvicorn'?"),
        (["--users", "0"], "'0' is no number from 1 to"),
        (["--users", "x"], "'x' is no number from 1 to"),
        (["--round-trip", "-1"], "'-1' is no number from 0 to"),
        (["--database", "sqlite"], "invalid choice: 'sqlite'"),
        (["blocking-call", "--deployment", "asgi-uvicorn", "--threads", "3"], "no threads to set"),
        (["--output", "/proc/none/result.json"], "cannot write /proc/none/result.json"),
    ],
)
def test_bad_arguments_are_refused_with_the_reason(arguments, said):
    done = here("compare", *arguments)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    "arguments", [["blocking-cal"], pytest.param(["--users", "0"], marks=pytest.mark.long)]
)
def test_bad_arguments_end_the_command_without_a_traceback(arguments):
    """Those that the command itself refuses, and those that argparse does."""
    done = compare(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("url", "said"),
    [("postgres://127.0.0.1:1/none", "refused"), ("mysql://localhost/none", "postgres://")],
)
def test_database_that_cannot_be_used_is_refused_in_one_line(url, said, tmp_path):
    done = compare(*("cpu-bound", "--output", str(tmp_path / "none.json")), DATABASE_URL=url)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    (line,) = done.stderr.splitlines()
    assert "DATABASE_URL" in line
    assert said in line


def generator_rounds(process):
    """Whether a load generator has been at work: a connection of it to a server is open."""
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if "loadtests.generator" in child.cmdline() and child.net_connections("tcp"):
                return True
        except psutil.NoSuchProcess:
            continue
    return False


def under_load(process):
    """A load generator, and the server (gunicorn's master, or uvicorn) that it is connected to.

    None while there is none, or one that only calibrates: that takes one server, then two.
    """
    children = psutil.Process(process.pid).children()
    try:
        command = {child: child.cmdline() for child in children}
        started = (child for child in children if "loadtests.generator" in command[child])
        generator, ports = next((g, ports) for g in started if (ports := ports_asked_by(g)))
    except (psutil.NoSuchProcess, StopIteration):
        return None
    servers = {
        child: words
        for child, words in command.items()
        if words and words[-1].startswith("project.")
    }
    for child, words in servers.items() if len(servers) > 2 else ():
        if any(word.removeprefix("127.0.0.1:") in ports for word in words):
            return generator, child
    return None


def ports_asked_by(generator):
    return {str(c.raddr.port) for c in generator.net_connections("tcp") if c.raddr}


@pytest.fixture
def run(migrated, tmp_path, request):
    """Two comparisons, or the parameter's, with services of their own, which can be killed too."""
    path = tmp_path / "results" / "result.json"
    process = subprocess.Popen(
        [*COMPARE, *getattr(request, "param", SLUGS), "--quick", "--output", str(path)],
        cwd=BASE_DIR,
        env=environ_of(copied(migrated, tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process, path
    process.kill()
    process.communicate()


@pytest.mark.long
@pytest.mark.timeout(300)  # a whole comparison, and perhaps what `migrated` makes first
@pytest.mark.parametrize("run", [[*SLUGS, "--deployment", "wsgi-threads"]], indirect=True)
def test_postgres_that_is_killed_ends_the_run_in_one_line(run):
    process, path = run
    await_(lambda: path.exists() and path.stat().st_size, process)
    await_(lambda: generator_rounds(process), process)
    postmaster = next(
        candidate
        for candidate in psutil.process_iter(["name", "cmdline"])
        if candidate.info["name"] == "postgres"
        and any(str(path.parent.parent) in word for word in candidate.info["cmdline"])
    )
    family = psutil.Process(process.pid).children(recursive=True)
    postmaster.kill()
    _out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert len(err.splitlines()) == 1, err
    assert "ostgre" in err
    assert psutil.wait_procs([*family, postmaster], timeout=10)[1] == []
    kept = {row["comparison"] for row in json.loads(path.read_text())["measurements"]}
    assert kept >= {SLUGS[0]}


def test_run_that_is_killed_leaves_nothing(run):
    process, _path = run
    await_(lambda: generator_rounds(process), process)
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    assert psutil.wait_procs(family, timeout=30)[1] == []


@pytest.mark.long
@pytest.mark.parametrize("run", [SLUGS[:1]], indirect=True)
def test_server_that_dies_costs_its_round_and_no_more(run):
    process, path = run
    generator, server = await_(lambda: under_load(process), process)
    generator.suspend()  # its round cannot end before the server has
    server.kill()
    await_(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE, process)
    generator.resume()
    _out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    (broken,) = (round_["broken"] for round_ in rounds_of(path) if round_["broken"])
    assert any("died (signal 9)" in reason for reason in broken)
    assert json.loads(path.read_text())["verdicts"]


@pytest.mark.long
@pytest.mark.parametrize("run", [SLUGS[:1]], indirect=True)
def test_run_that_was_stopped_goes_on_and_repeats_its_round(run):
    """If a window was open. Between two there is nothing to repeat, so it is stopped often."""
    process, path = run
    for _ in range(8):
        generator, _server = await_(lambda: under_load(process), process)
        process.send_signal(signal.SIGSTOP)
        # All that it says of its round is in the pipe; or its users have waited long enough.
        until(lambda generator=generator: not ports_asked_by(generator))
        time.sleep(2 * MAX_STALL_S)
        process.send_signal(signal.SIGCONT)
    _out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    measured = [(round_["variant"], round_["block"]) for round_ in rounds_of(path)]
    stopped = [
        (round_["variant"], round_["block"])
        for round_ in rounds_of(path)
        if round_["compare_stall"] > 2 * MAX_STALL_S
    ]
    assert any(measured.count(turn) > 1 for turn in stopped)


@pytest.mark.parametrize("name", ["compare", "serve"])
def test_every_option_has_its_line_in_the_help(name):
    parser = load_command_class("loadtests", name).create_parser("manage.py", name)
    assert [action.dest for action in parser._actions if not action.help] == []


@pytest.mark.long
@pytest.mark.skipif(CORES < 2, reason="pinning needs two cores")
@pytest.mark.parametrize("run", [["cpu-bound", "--pin"]], indirect=True)
def test_pinned_run_leaves_the_last_core_to_the_generators_alone(run):
    process, _path = run
    await_(lambda: under_load(process), process)
    *others, last = sorted(os.sched_getaffinity(0))
    compare_ = psutil.Process(process.pid)
    family = [compare_, *compare_.children(recursive=True)]
    assert {"postgres", "valkey-server"} <= {one.name() for one in family}
    generators = [one for one in family if "loadtests.generator" in one.cmdline()]
    assert {tuple(one.cpu_affinity()) for one in family if one not in generators} == {tuple(others)}
    assert [one.cpu_affinity() for one in generators] == [[last], [last]]


@pytest.fixture(scope="module")
def open_loop_run(tmp_path_factory):
    path = tmp_path_factory.mktemp("results") / "open.json"
    pin = ["--pin"] if CORES > 1 else []
    small = ["print", "--quick", "--deployment", "asgi-uvicorn"]
    return compare(*pin, *small, "--rate", "50", "--output", str(path)), path


@pytest.mark.long
def test_rate_sends_requests_when_they_are_due(open_loop_run):
    done, path = open_loop_run
    assert done.returncode == 0, done.stderr
    assert rounds_of(path)
    for round_ in rounds_of(path):
        starts = sorted(sample[0] for sample in round_["samples"])
        paces = [after - before for before, after in pairwise(starts)]
        assert paces == pytest.approx([1 / 50] * len(paces), abs=1e-4)
        assert round_["rate"] == 50
    assert "open loop; the generator itself was up to" in done.stdout


@pytest.mark.long
def test_overloaded_server_has_a_backlog_that_grows_and_no_latency(tmp_path):
    """A request computes for far more than 10 ms, and the GIL lets one compute at a time."""
    path = tmp_path / "open.json"
    done = compare("cpu-bound", "--quick", "--rate", "100", "--output", str(path))
    for row in json.loads(path.read_text())["measurements"]:
        assert row["latency_ms"]["p50"] is None
        assert 0 < row["backlog_growth"] < 100
    assert len(re.findall(r" \+\d.*/s ", done.stdout)) == 3


@pytest.mark.long
@pytest.mark.parametrize("run", [["cpu-bound", "--rate", "5"]], indirect=True)
def test_calls_that_fall_due_while_the_server_is_frozen_count(run):
    """For longer than the window, again and again: some time it is open."""
    process, path = run
    for _ in range(12):
        _generator, server = await_(lambda: under_load(process), process)
        family = [server, *server.children(recursive=True)]
        for one in family:
            one.suspend()
        time.sleep(1.5)
        for one in family:
            one.resume()
        time.sleep(0.4)
    _out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    longest = max(row["latency_ms"]["max"] for row in json.loads(path.read_text())["measurements"])
    assert longest > 1000


@pytest.mark.long
def test_open_loop_judges_no_expectation_of_a_closed_one(open_loop_run):
    assert json.loads(open_loop_run[1].read_text())["verdicts"] == []
    assert "that speak of a closed loop of users" in open_loop_run[0].stdout


@pytest.mark.skipif(CORES < 2, reason="pinning needs two cores")
@pytest.mark.long
def test_pinned_run_names_the_services_that_stay_on_their_cores(open_loop_run):
    (line,) = [line for line in open_loop_run[0].stdout.splitlines() if "--pin" in line]
    assert "upstream" in line  # this test run's own
    assert "started by another command, on its cores" in line


# --- A result file that cannot be saved


@pytest.mark.long
def test_full_disk_ends_the_run_and_keeps_what_was_saved(run):
    process, path = run
    await_(lambda: path.exists() and path.stat().st_size, process)
    before = path.read_bytes()
    full = result_store.samples_path(path).stat().st_size + 100
    family = psutil.Process(process.pid).children(recursive=True)
    psutil.Process(process.pid).rlimit(psutil.RLIMIT_FSIZE, (full, full))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err.splitlines() == [
        f"manage.py compare: cannot save {SLUGS[1]} in {path}: File too large; "
        "what was measured before is there"
    ]
    assert f"{SLUGS[1]}: " in out  # printed all the same
    assert psutil.wait_procs(family, timeout=10)[1] == []
    assert path.read_bytes() == before
    assert {round_["comparison"] for round_ in rounds_of(path)} == {SLUGS[0]}


@pytest.mark.long
def test_deleted_folder_is_made_again_with_the_whole_result(run):
    process, path = run
    await_(lambda: path.exists() and path.stat().st_size, process)
    shutil.rmtree(path.parent)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    measured = json.loads(path.read_text())["measurements"]
    assert [row["comparison"] for row in measured] == [SLUGS[0]] * 3 + [SLUGS[1]] * 3
    assert {round_["comparison"] for round_ in rounds_of(path)} == {SLUGS[1]}
    assert "result.samples.jsonl.gz was deleted: earlier comparisons have no samples" in out
