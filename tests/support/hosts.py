"""Five hosts on a switch, made of network namespaces: what happens between machines, on one.

    desk      where `compare` is told what to do
    load1, load2
    app       where servers are to run
    database  where `postgres` and `valkey` run

Each has loopback and addresses of its own, and the machine's own network sees nothing of them, so
that two runs at once may use the same addresses. Processes and files are the machine's.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from project.processes import BASE_DIR, dying_with_parent
from project.services import SERVICES
from project.services.service import Service
from tests.conftest import PATH
from tests.support.clients import until

NETWORK = "10.16.0"
PORT = "eth0"  # of a host; at the switch its port has the host's name
VALKEY_PASSWORD = "valkey-password"
PING = (
    "import sys; from project.services import SERVICES; "
    "next(s for s in SERVICES if s.name == sys.argv[1]).ping(sys.argv[2])"
)
# With SHLVL bash leaves out root's .bashrc, which may start what outlives the command.
SSHD_CONFIG = """
ListenAddress {address}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
SetEnv SERVICES_DIR={services} SHLVL=1
"""
SSH_CONFIG = """
Host {name}
HostName {address}
User root
IdentityFile {folder}/user_key
IdentitiesOnly yes
UserKnownHostsFile {folder}/known_hosts
StrictHostKeyChecking yes
BatchMode yes
"""


@dataclass(frozen=True)
class Host:
    """A network namespace, with a link to the switch, which is one too."""

    name: str
    address: str
    namespace: str
    switch: str
    services: Path  # where it keeps its own: another host's listen on that one's loopback

    @property
    def command(self) -> list[str]:
        """What runs a command there, as `ssh host` would; its last word is a name."""
        return ["env", f"SERVICES_DIR={self.services}", "ip", "netns", "exec", self.namespace]

    def run(self, *argv, **options) -> subprocess.CompletedProcess[str]:
        """Run it there to its end."""
        return subprocess.run(
            [*self.command, *argv],
            **{"cwd": BASE_DIR, "capture_output": True, "text": True, "timeout": 110} | options,
        )

    def popen(self, *argv, **options) -> subprocess.Popen:
        """Start it there; it ends with this process."""
        return subprocess.Popen(
            dying_with_parent([*self.command, *argv]), **{"cwd": BASE_DIR} | options
        )

    def processes(self) -> dict[psutil.Process, str]:
        """All that run there now, whoever started them, and their command lines."""
        found = {}
        for pid in _ip("netns", "pids", self.namespace).split():
            with suppress(psutil.Error):
                process = psutil.Process(int(pid))
                if line := " ".join(process.cmdline()).strip():  # else it is just ending
                    found[process] = line
        return found

    def connections(self) -> list[tuple[str, str]]:
        """Its established connections over the network: address:port here, and there."""
        said = self.run("ss", "-H", "-t", "-n", "state", "established", check=True).stdout
        ends = (line.split()[-2:] for line in said.splitlines())
        return [(here, there) for here, there in ends if not there.startswith("127.")]

    def cut(self) -> None:
        """Unplug it from the switch: who sends to it, or from it, is told nothing."""
        _ip("-n", self.switch, "link", "set", self.name, "down")

    def mend(self) -> None:
        _ip("-n", self.switch, "link", "set", self.name, "up")

    def delay(self, ms: float) -> None:
        """Add so many ms to each round trip to or from it; skip the test where that can't be."""
        queue = ["tc", "qdisc", "replace", "dev", PORT, "root", "netem", "delay", f"{ms}ms"]
        if why := self.run(*queue).stderr.strip():
            pytest.skip(f"no netem: {why}")


class Hosts(NamedTuple):
    desk: Host
    load1: Host
    load2: Host
    app: Host
    database: Host

    def processes(self) -> dict[psutil.Process, str]:
        """All that run on any of them, and where."""
        return {
            process: f"{host.name}: {process.pid} {command}"
            for host in self
            for process, command in host.processes().items()
        }


def _ip(*argv: str) -> str:
    return subprocess.run(["ip", *argv], check=True, capture_output=True, text=True).stdout


@cache
def why_no_namespaces() -> str:
    """Say why there can be no hosts here, in a line; "" if there can."""
    if os.geteuid():
        return "network namespaces: only root may make them"
    namespace = f"try-{os.getpid()}"
    try:
        _ip("netns", "add", namespace)
        try:
            _ip("-n", namespace, "link", "add", "bridge", "type", "bridge")
            _ip("-n", namespace, "link", "add", "one", "type", "veth", "peer", "name", "other")
        finally:
            _ip("netns", "delete", namespace)
    except FileNotFoundError:
        return "network namespaces: no program ip (Debian: apt-get install iproute2)"
    except subprocess.CalledProcessError as error:
        return f"network namespaces: {shlex.join(error.cmd)}: {error.stderr.strip()}"
    return ""


@contextmanager
def hosts(folder: Path) -> Iterator[Hosts]:
    """Make them, and remove them after the block, with all that still runs there.

    AssertionError then, if anything did. folder: for their services' files.
    """
    _remove_stale()
    switch = _name("switch")
    made = Hosts(
        *(
            Host(name, f"{NETWORK}.{number}", _name(name), switch, folder / f"services-{name}")
            for number, name in enumerate(Hosts._fields, 1)
        )
    )
    with ExitStack() as stack:
        _add(switch, stack)
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        for host in made:
            _add(host.namespace, stack)
            _plug_in(host)
        try:
            yield made
        except BaseException as error:
            error.add_note(_left(made))
            raise
        left = _left(made)
    assert not left, left


def _left(made: Hosts) -> str:
    return "\n".join(f"left running: {one}" for one in made.processes().values())


def _name(name: str) -> str:
    return f"{name}-{os.getpid()}"


def _add(namespace: str, stack: ExitStack) -> None:
    _ip("netns", "add", namespace)
    stack.callback(_remove, namespace)


def _plug_in(host: Host) -> None:
    here, there = ("-n", host.namespace), ("-n", host.switch)
    veth = ("type", "veth", "peer", "name", PORT, "netns", host.namespace)
    _ip(*there, "link", "add", host.name, *veth)
    _ip(*there, "link", "set", host.name, "master", "bridge", "up")
    _ip(*here, "address", "add", f"{host.address}/24", "dev", PORT)
    for link in ("lo", PORT):
        _ip(*here, "link", "set", link, "up")


def _remove(namespace: str) -> None:
    """Kill all that runs in it; with its last process it goes."""

    def is_empty() -> bool:
        pids = _ip("netns", "pids", namespace).split()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        return not pids

    until(is_empty)
    _ip("netns", "delete", namespace)


def _remove_stale() -> None:
    """Remove those of a run that was killed."""
    pattern = re.compile(rf"(?:switch|try|{'|'.join(Hosts._fields)})-(\d+)")
    for line in _ip("netns", "list").splitlines():
        found = pattern.match(line)
        if found and not psutil.pid_exists(int(found[1])):
            with suppress(subprocess.CalledProcessError):  # another run removes them now
                _remove(found[0])


@contextmanager
def databases(host: Host, folder: Path) -> Iterator[dict[str, str]]:
    """PostgreSQL and Valkey on this host, and where all others reach them: variables of a command.

    folder: a SERVICES_DIR of its own, with tables or without.
    """
    with ExitStack() as stack:
        environ = {}
        for service in SERVICES[:2]:
            url = stack.enter_context(_serving(host, service, folder / service.name))
            environ[service.variable] = url
        yield environ


@contextmanager
def _serving(host: Host, service: Service, folder: Path) -> Iterator[str]:
    folder.mkdir(parents=True, exist_ok=True)
    command, url = service.prepare(folder, service.port)
    url = url.replace("127.0.0.1", host.address)
    if service.name == "postgres":
        with open(folder / "cluster/data/pg_hba.conf", "a") as rules:
            rules.write(f"host all all {NETWORK}.0/24 scram-sha-256\n")
        options = [f"--listen_addresses={host.address}"]
    else:
        options = ["--bind", host.address, "--requirepass", VALKEY_PASSWORD]
        url = url.replace("://", f"://:{VALKEY_PASSWORD}@")
    with open(folder / "log", "wb") as log:
        server = host.popen(*command, *options, stdout=log, stderr=log)

    def answers() -> bool:
        assert server.poll() is None, (folder / "log").read_text()
        return not host.run(sys.executable, "-c", PING, service.name, url).returncode

    try:
        until(answers)
        yield url
    finally:
        server.send_signal(service.stop_signals[0])
        server.wait()


@contextmanager
def ssh_command(host: Host, folder: Path) -> Iterator[list[str]]:
    """The command by which the others run something on this host, whose sshd it starts.

    Skips the test where there is no sshd. folder: for keys and settings.
    """
    sshd = shutil.which("sshd", path=PATH)
    if not sshd:
        pytest.skip("no sshd (Debian: apt-get install openssh-server)")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # it insists
    for key in ("host_key", "user_key"):
        generate = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key]
        subprocess.run(generate, check=True)
    public = (folder / "host_key.pub").read_text()
    (folder / "known_hosts").write_text(f"{host.address} {public}")
    names = {"folder": folder, "name": host.name, "address": host.address}
    (folder / "sshd_config").write_text(SSHD_CONFIG.format(**names, services=host.services))
    (folder / "ssh_config").write_text(SSH_CONFIG.format(**names))
    with open(folder / "log", "wb") as log:
        server = host.popen(sshd, "-D", "-e", "-f", str(folder / "sshd_config"), stderr=log)
    command = ["ssh", "-F", str(folder / "ssh_config"), host.name]

    def answers() -> bool:
        assert server.poll() is None, (folder / "log").read_text()
        return not host.run(*command, "true").returncode

    try:
        until(answers)
        yield command
    finally:
        server.terminate()
        server.wait()
        for process, line in host.processes().items():
            if line.startswith("sshd:"):  # of a connection, which outlives the server
                process.kill()
                process.wait()
