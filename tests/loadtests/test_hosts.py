"""Hosts on a switch, by which tests see what happens between machines (tests/support/hosts.py)."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from tests.support.clients import until
from tests.support.hosts import databases, hosts, ssh_command

pytestmark = [pytest.mark.needs("ip", "iproute2"), pytest.mark.usefixtures("namespaces")]
GREET = """
import socket, sys
with socket.create_server((sys.argv[1], 8000)) as listener:
    print("listens", flush=True)
    while True:
        with listener.accept()[0] as client:
            client.sendall(b"hello")
            client.recv(1)  # until the client leaves
"""
ASK = """
import socket, sys
with socket.create_connection((sys.argv[1], 8000), timeout=1) as client:
    print(client.recv(100).decode())
"""
COUNT = """
import os, psycopg, redis
with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    print(connection.execute("SELECT count(*) > 0 FROM django_migrations").fetchone()[0])
with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
    print(client.incr("n"))
"""


@pytest.fixture
def app(network):
    """The host that greets whoever asks."""
    command = (sys.executable, "-c", GREET, network.app.address)
    with network.app.popen(*command, stdout=subprocess.PIPE) as server:
        assert server.stdout.readline()
        yield network.app
        server.kill()


def greeting(client, server):
    return client.run(sys.executable, "-c", ASK, server.address).stdout.strip()


def test_every_host_reaches_the_others(network, app):
    assert [greeting(host, app) for host in network] == ["hello"] * len(network)


def test_host_that_is_cut_off_is_reached_by_nobody_until_it_is_mended(network, app):
    network.load1.cut()
    assert greeting(network.load1, app) == ""
    assert greeting(network.load2, app) == "hello"
    network.load1.mend()
    until(lambda: greeting(network.load1, app) == "hello")


def test_machine_itself_has_no_new_link(tmp_path):
    show = ["ip", "-oneline", "address"]
    before = subprocess.check_output(show)
    with hosts(tmp_path):
        assert subprocess.check_output(show) == before


def test_connection_is_seen_by_both_of_its_ends(network, app):
    wait = f"import socket; s = socket.create_connection(('{app.address}', 8000)); input()"
    with network.load1.popen(sys.executable, "-c", wait, stdin=subprocess.PIPE) as client:
        (found,) = until(network.load1.connections)
        client.communicate(b"\n")
    assert found[1] == f"{app.address}:8000"
    assert found[0].startswith(f"{network.load1.address}:")


def test_delay_is_added_to_round_trips(network, app):
    network.load1.delay(50)  # connect() takes one
    timed = f"import time\nbegan = time.monotonic(){ASK}print(time.monotonic() - began)"
    said = network.load1.run(sys.executable, "-c", timed, app.address).stdout
    assert float(said.split()[1]) > 0.05


def leave_running(folder, started, after):
    with hosts(folder) as made:
        started.append(made.load2.popen("sleep", "1000"))
        until(lambda: "sleep 1000" in made.load2.processes().values())
        after()


def test_what_still_runs_is_named_and_killed(tmp_path):
    started = []
    with pytest.raises(AssertionError, match=r"^left running: load2: \d+ sleep 1000"):
        leave_running(tmp_path, started, after=lambda: None)
    assert started[0].wait() == -signal.SIGKILL


def test_failing_test_leaves_nothing_either(tmp_path):
    started = []
    with pytest.raises(ZeroDivisionError) as failure:
        leave_running(tmp_path, started, after=lambda: 1 / 0)
    assert started[0].wait() == -signal.SIGKILL
    assert failure.value.__notes__ == [f"left running: load2: {started[0].pid} sleep 1000"]
    assert not [name for name in names() if name.endswith(f"-{os.getpid()}")]


def test_hosts_of_a_run_that_was_killed_go_with_the_next_one(tmp_path):
    """Their processes go at once, as the kernel tells them."""
    make = (
        "import sys, pathlib; from tests.support.hosts import hosts\n"
        "with hosts(pathlib.Path(sys.argv[1])) as made:\n"
        "    print(made.app.popen('sleep', '1000').pid, made.app.namespace, flush=True); input()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", make, str(tmp_path)], **pipes) as run:
        pid, namespace = run.stdout.readline().decode().split()
        run.kill()
    until(lambda: not psutil.pid_exists(int(pid)))
    assert namespace in names()
    with hosts(tmp_path):
        assert namespace not in names()


def test_without_the_right_the_reason_is_said_in_a_line():
    """As for the root of a container."""
    say = "from tests.support.hosts import why_no_namespaces as why; print(why())"
    done = subprocess.run(
        ["setpriv", "--bounding-set=-sys_admin", sys.executable, "-c", say],
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = done.stdout.splitlines()
    assert line.startswith("network namespaces: ip netns add")
    assert "not permitted" in line


def names():
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    return {line.split()[0] for line in listed.stdout.splitlines()}


def test_databases_of_one_host_are_another_ones(network, migrated_copy):
    with databases(network.database, migrated_copy) as environ:
        variables = [f"{name}={value}" for name, value in environ.items()]
        done = network.app.run("env", *variables, sys.executable, "-c", COUNT)
        assert (done.stdout.split(), done.stderr) == (["True", "1"], "")
        assert all(network.database.address in url for url in environ.values())


def test_ssh_runs_a_command_on_another_host(network, tmp_path):
    with ssh_command(network.app, tmp_path) as ssh:
        done = network.desk.run(*ssh, "echo $SSH_CONNECTION $SERVICES_DIR")
        theirs, _port, own, _port, services = done.stdout.split()
        assert (theirs, own) == (network.desk.address, network.app.address)
        assert services == str(network.app.services)


def test_command_over_ssh_hears_that_the_one_who_asked_has_gone(network, tmp_path):
    with ssh_command(network.app, tmp_path) as ssh:
        asked = network.desk.popen(*ssh, "cat", stdin=subprocess.PIPE)
        until(lambda: "cat" in network.app.processes().values())
        asked.kill()
        asked.communicate()
        until(lambda: "cat" not in network.app.processes().values())
