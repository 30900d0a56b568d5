"""`compare` over several hosts: what it finds, and what becomes of it when one of them is lost."""

import gzip
import json
import re
import shlex
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from comparisons import result_store
from tests.support.commands import await_
from tests.support.hosts import databases, ssh_command
from tests.support.prepared import environ_of

pytestmark = [
    pytest.mark.long,
    pytest.mark.needs("ip", "iproute2"),
    pytest.mark.needs("ss", "iproute2"),
    pytest.mark.timeout(900),
]
COMPARE = (sys.executable, "manage.py", "compare")
FIRST, SECOND = "print", "across-requests"  # short, and waiting: they take little CPU
DECIDED = {"holds", "refuted"}
MEASURED_S = 300  # at most until a comparison is: all its hosts share this machine
LEFT_S = 20  # from the end of the command to that of all that it has started anywhere


@pytest.fixture
def environ(network, migrated_copy, tmp_path):
    """Of a command whose databases are on a host of their own."""
    with databases(network.database, migrated_copy) as variables:
        yield environ_of(tmp_path / "unused") | variables


def on(option, host):
    return (option, shlex.join(host.command))


def load_from(*hosts):
    return [word for host in hosts for word in on("--load-from", host)]


def where_app_is_told(network, *load_hosts):
    """The host with the servers is where `compare` runs: load from others."""
    return network.app, ["--address", network.app.address, *load_from(*load_hosts)]


def where_desk_is_told(network, *load_hosts):
    """`compare` runs on a third one, which starts the servers there too."""
    _, options = where_app_is_told(network, *load_hosts)
    return network.desk, [*on("--servers-on", network.app), *options]


def verdicts(path):
    found = json.loads(path.read_text())["verdicts"]
    return {verdict["expectation"]: verdict["verdict"] for verdict in found}


@pytest.mark.parametrize("slug", ["blocking-call", "sequential-awaits", "pool-size"])
def test_verdicts_are_those_of_one_host(slug, network, environ, tmp_path):
    """Where both are decided: a busy machine leaves many open, even all."""
    found = []
    alone = {n: v for n, v in environ.items() if n not in ("DATABASE_URL", "REDIS_URL")}
    three_hosts = where_desk_is_told(network, network.load1)
    cases = [(network.desk, [], alone), (*three_hosts, environ)]
    for number, (host, options, its_environ) in enumerate(cases):
        path = tmp_path / f"{number}.json"
        argv = (*COMPARE, slug, "--quick", "--seed", "7", *options, "--output", str(path))
        done = host.run(*argv, env=its_environ, timeout=400)
        assert (done.returncode, done.stderr) == (0, "")
        found.append(verdicts(path))
    workers = json.loads(path.read_text())["load_generator"]["workers"]
    assert [worker["name"] for worker in workers] == [network.load1.namespace]
    one, three = found
    assert one.keys() == three.keys()
    decided = {name for name in one if {one[name], three[name]} <= DECIDED}
    for name in one.keys() - decided:
        print(f"undecided: {name}: {one[name]} on one host, {three[name]} on three")
    if not decided:
        pytest.skip("nothing was decided on one host and on three: this machine is too busy")
    assert {name: three[name] for name in decided} == {name: one[name] for name in decided}


def test_of_views_measured_against_themselves_hardly_any_is_called_different(
    network, environ, tmp_path
):
    """By two load generators on hosts of their own: 5 of 100 at most are wrong by its method."""
    path = tmp_path / "null.json"
    host, options = where_desk_is_told(network, network.load1, network.load2)
    argv = (*COMPARE, "--null", "--quick", "pool-size", "across-requests", *options)
    done = host.run(*argv, "--output", str(path), env=environ, timeout=600)
    assert (done.returncode, done.stderr) == (0, "")
    found = [*verdicts(path).values()]
    assert len(found) >= 12
    assert found.count("invalid") == 0
    assert found.count("refuted") <= 1


# --- Losses


@contextmanager
def comparing(network, environ, path, host, options):
    """A comparison has been saved, and while another is measured requests are under way."""
    argv = (*COMPARE, FIRST, SECOND, "--quick", *options, "--output", str(path))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = host.popen(*argv, env=environ, **pipes)
    try:
        await_(lambda: path.exists() and path.stat().st_size, process, MEASURED_S)
        await_(lambda: is_loaded(network), process)
        yield process
    finally:
        process.terminate()
        process.communicate()


def is_loaded(network):
    """A load generator has a connection to a server, which is named in what started that."""
    lines = network.app.processes().values()
    words = {word for line in lines if " project." in line for word in re.split("[ :]", line)}
    ends = [*network.load1.connections(), *network.load2.connections()]
    return any(there.rpartition(":")[2] in words for _, there in ends)


def process_of(host, word):
    (found,) = (one for one, line in host.processes().items() if word in line.split())
    return found


def assert_nothing_left(network, before):
    """But for connections that sshd has not given up yet; and those of the database likewise."""
    deadline = time.monotonic() + LEFT_S
    while left := {
        line
        for host in network
        if host is not network.database
        for one, line in host.processes().items()
        if one not in before and not line.startswith("sshd:")
    }:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def rounds_of(path):
    with gzip.open(result_store.samples_path(path), "rt") as file:
        return [json.loads(line) for line in file]


def assert_ends_in_a_line(process, path, name):
    """It names what was lost; what was measured before is kept."""
    out, err = process.communicate(timeout=120)
    (line,) = err.splitlines()
    assert name in line
    assert process.returncode == 2
    assert f"result: {path}" in out
    assert FIRST in {row["comparison"] for row in json.loads(path.read_text())["measurements"]}
    assert FIRST in {round_["comparison"] for round_ in rounds_of(path)}


def cut_load1(network):
    network.load1.cut()


def kill_worker(network):
    process_of(network.load1, "loadtests.worker").kill()


@pytest.mark.parametrize("told", [where_app_is_told, where_desk_is_told])
@pytest.mark.parametrize("lose", [cut_load1, kill_worker])
def test_lost_worker_ends_the_run_in_a_line(lose, told, network, environ, tmp_path):
    path, before = tmp_path / "results" / "result.json", network.processes()
    with comparing(network, environ, path, *told(network, network.load1)) as process:
        lose(network)
        assert_ends_in_a_line(process, path, "load1")
    assert_nothing_left(network, before)


@pytest.mark.parametrize("told", [where_app_is_told, where_desk_is_told])
@pytest.mark.parametrize("lose", [cut_load1, kill_worker])
def test_with_go_on_a_lost_worker_costs_its_round_and_no_more(
    lose, told, network, environ, tmp_path
):
    path, before = tmp_path / "results" / "result.json", network.processes()
    host, options = told(network, network.load1, network.load2)
    with comparing(network, environ, path, host, [*options, "--go-on"]) as process:
        lose(network)
        _out, err = process.communicate(timeout=MEASURED_S)
        assert process.returncode == 0, err
    assert_nothing_left(network, before)
    broken = [reason for round_ in rounds_of(path) for reason in round_["broken"]]
    assert any("load1" in reason for reason in broken)
    measured = {row["comparison"] for row in json.loads(path.read_text())["measurements"]}
    assert measured == {FIRST, SECOND}


def test_killed_process_beside_the_servers_ends_the_run_in_a_line(network, environ, tmp_path):
    path, before = tmp_path / "results" / "result.json", network.processes()
    told = where_desk_is_told(network, network.load1)
    with comparing(network, environ, path, *told) as process:
        process_of(network.app, "loadtests.away").kill()
        assert_ends_in_a_line(process, path, "app")
    assert_nothing_left(network, before)


def cut_app(network):
    network.app.cut()


def kill_ssh(network):
    for one, line in network.desk.processes().items():
        if line.startswith("ssh "):
            one.kill()


@pytest.mark.parametrize("lose", [cut_app, kill_ssh])
def test_lost_ssh_connection_ends_the_run_in_a_line(lose, network, environ, tmp_path):
    path = tmp_path / "results" / "result.json"
    with ssh_command(network.app, tmp_path) as ssh:
        before = network.processes()
        options = ["--servers-on", shlex.join(ssh), *load_from(network.load1)]
        with comparing(network, environ, path, network.desk, options) as process:
            lose(network)
            assert_ends_in_a_line(process, path, "app")
        assert_nothing_left(network, before)


def test_load_generator_over_ssh_that_is_cut_off_ends_the_run_in_a_line(network, environ, tmp_path):
    """Its orders and the way to its process are lost at once."""
    path = tmp_path / "results" / "result.json"
    with ssh_command(network.load1, tmp_path) as ssh:
        before = network.processes()
        options = ["--address", network.app.address, "--load-from", shlex.join(ssh)]
        with comparing(network, environ, path, network.app, options) as process:
            network.load1.cut()
            assert_ends_in_a_line(process, path, "load1")
        assert_nothing_left(network, before)
