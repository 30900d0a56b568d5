"""A process on another host (loadtests/away.py), when the way to it is lost."""

import shlex

import pytest

from loadtests.away import AwayError, Place, running
from tests.support.clients import until
from tests.support.hosts import ssh_command

pytestmark = [pytest.mark.long, pytest.mark.needs("ip", "iproute2")]
SERVER = "http.server"  # a module that runs until it is ended


def there(host):
    """What runs there of it: the far end, and the server that it has started."""
    lines = host.processes().values()
    return [line for line in lines if {SERVER, "loadtests.away"} & set(line.split())]


def hear_of_the_loss(away):
    while True:
        away.hear()


@pytest.fixture
def ssh(network, tmp_path):
    with ssh_command(network.app, tmp_path) as command:
        yield [*network.desk.command, *command]


@pytest.mark.parametrize("over_ssh", [True, False])
def test_process_is_there_and_ends_with_the_block(over_ssh, network, tmp_path, request):
    command = request.getfixturevalue("ssh") if over_ssh else network.app.command
    address = ["--bind", network.app.address, "8000"]
    with running(Place.of(shlex.join(command), None), tmp_path / "away.log", SERVER, address):
        until(lambda: len(there(network.app)) == 2)
    assert there(network.app) == []


def test_cut_cable_is_a_line_here_and_the_end_there(network, ssh, tmp_path):
    with running(Place.of(shlex.join(ssh), None), tmp_path / "away.log", SERVER, ["8000"]) as away:
        until(lambda: len(there(network.app)) == 2)
        network.app.cut()
        with pytest.raises(AwayError, match="app: nothing heard for 10 s") as loss:
            hear_of_the_loss(away)
        assert "\n" not in str(loss.value)
        until(lambda: not there(network.app))
    assert [line for line in network.desk.processes().values() if line.startswith("ssh")] == []


def test_killed_ssh_is_a_line_here_and_the_end_there(network, ssh, tmp_path):
    with running(Place.of(shlex.join(ssh), None), tmp_path / "away.log", SERVER, ["8000"]) as away:
        until(lambda: len(there(network.app)) == 2)
        (client,) = (p for p, line in network.desk.processes().items() if line.startswith("ssh"))
        client.kill()
        with pytest.raises(AwayError, match="app: the connection was lost"):
            hear_of_the_loss(away)
        until(lambda: not there(network.app))
