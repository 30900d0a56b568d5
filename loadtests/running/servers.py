"""Real servers: start a deployment, wait until it answers, see what it uses, stop all of it."""

import os
import secrets
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from types import MappingProxyType
from typing import Protocol

from project import signals
from project.deployments import Deployment
from project.errors import FatalError
from project.middleware import HEADER
from project.ports import LOOPBACK, free_port, host_of, place
from project.processes import dying_with_parent
from project.reasons import reason

START_TIMEOUT_S = 30  # seconds
STOP_TIMEOUT_S = 10  # seconds
MAX_TMPDIR = 60  # bytes: a socket's path may have 107, and multiprocessing adds 32 to ours

# Opens addresses of servers: urllib's own opener would ask the proxy of the environment.
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServerError(FatalError):
    """A server that does not start."""


class Connecting(Protocol):
    """What can be asked: a server that runs here, or somebody else's host."""

    def connect(self, timeout_s: float) -> HTTPConnection: ...


@dataclass(frozen=True)
class Running:
    """A deployment that runs. name: what its responses say in X-Deployment."""

    deployment: Deployment
    port: int
    nonce: str
    process: subprocess.Popen[bytes]
    log: Path | None
    environ: Mapping[str, str] = field(repr=False)  # it holds passwords
    address: str = LOOPBACK  # where it listens, and nowhere else

    @property
    def url(self) -> str:
        return f"http://{place(self.address, self.port)}"

    @property
    def own_url(self) -> str:
        """What stands before `bystander/` and `pools/`."""
        return f"{self.url}{self.deployment.own_paths}"

    @property
    def name(self) -> str:
        return f"{self.deployment.name} {self.nonce}"

    @property
    def bystander(self) -> str:
        """The path that the bystander calls."""
        return f"{self.deployment.own_paths}bystander/"

    def connect(self, timeout_s: float) -> HTTPConnection:
        return HTTPConnection(self.address, self.port, timeout_s)

    def death(self) -> str | None:
        """Say how it died; None while it lives."""
        status = self.process.poll()
        if status is None:
            return None
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        return f"{self.deployment.name} died ({how})"


# Those that end servers while we do something else.
_enders: list[Thread] = []


@contextmanager
def temporary_folder() -> Iterator[str]:
    """Make a folder for a process's TMPDIR: a signal leaves files there."""
    folder = _folder()
    try:
        yield folder.name
    finally:
        with signals.held():
            folder.cleanup()


def _folder() -> TemporaryDirectory[str]:
    """Make one with a short path, as must be those of the sockets in it."""
    place = None if len(tempfile.gettempdir()) <= MAX_TMPDIR else "/tmp"
    return TemporaryDirectory(prefix="s-", dir=place, ignore_cleanup_errors=True)


@contextmanager
def serving(
    deployments: Sequence[Deployment],
    environs: Sequence[Mapping[str, str]] | None = None,
    *,
    wait: bool = True,
    address: str = LOOPBACK,
) -> Iterator[list[Running]]:
    """Start these deployments on free ports of the address and stop them after the block:

        with serving([DEPLOYMENTS["asgi-uvicorn"]]) as (server,):
            direct.open(server.url)

    environs: what the environment of each adds to `child_environ`. wait: for their end, after the
    block. If not, the next block of this kind begins only when they have ended, and so does what
    follows `await_ends`; a block that an error ends waits anyway.
    """
    started: list[Running] = []
    folder = _folder()
    in_order = False
    try:
        for number, deployment in enumerate(deployments):
            environ = dict(environs[number] if environs else {}) | {"TMPDIR": folder.name}
            with signals.held():
                log = Path(folder.name, f"{number}.log")
                server = start(deployment, environ, address=address, log=log)
                started.append(server)
        for server in started:
            wait_until_ready(server)
        await_ends()
        yield started
        in_order = True
    finally:
        with signals.held():
            if in_order and not wait:
                ender = Thread(target=_end, args=(started, folder))
                ender.start()
                _enders.append(ender)
            else:
                _end(started, folder)


def _end(servers: Sequence[Running], folder: TemporaryDirectory[str]) -> None:
    stop(servers)
    folder.cleanup()


def await_ends() -> None:
    """Return when the servers that nobody has waited for have ended."""
    with signals.held():
        while _enders:
            _enders.pop().join()


def restart(servers: list[Running], index: int) -> Running:
    """Start the server at this index anew, which died; end first what is left of it."""
    dead = servers[index]
    with signals.held():
        stop([dead])
        servers[index] = start(dead.deployment, dead.environ, address=dead.address, log=dead.log)
    wait_until_ready(servers[index])
    return servers[index]


def start(
    deployment: Deployment,
    environ: Mapping[str, str] = MappingProxyType({}),
    *,
    address: str = LOOPBACK,
    port: int | None = None,
    log: Path | None = None,
) -> Running:
    """Start a server in a process group of its own, its output in `log` or in this terminal."""
    port, nonce = port or free_port(address), secrets.token_hex(4)
    environ = dict(environ)
    if address != LOOPBACK:
        environ["ALLOWED_HOSTS"] = host_of(address)
    output = open(log, "wb") if log else None  # noqa: SIM115  closed below
    process = subprocess.Popen(
        dying_with_parent(deployment.argv(port, address)),
        cwd=deployment.folder,
        env=deployment.environ(nonce, environ),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output else None,
        start_new_session=True,
    )
    if output:
        output.close()
    return Running(deployment, port, nonce, process, log, environ, address)


def wait_until_ready(server: Running) -> None:
    """Return when the server itself, and no other at its port, answers."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        last = time.monotonic() > deadline  # once more: it may be we who stood still (Ctrl-Z)
        if death := server.death():
            raise ServerError(f"{death} at its start: {said(server.log)}")
        with (
            suppress(OSError),  # not yet listening, or an HTTP error of somebody else's
            direct.open(f"{server.own_url}bystander/", timeout=5) as response,
        ):
            if response.headers[HEADER] == server.name:
                return
        if last:
            name, why = server.deployment.name, said(server.log)
            raise ServerError(f"{name} does not answer in {START_TIMEOUT_S} s: {why}")
        time.sleep(0.02)


def stop(servers: Sequence[Running]) -> None:
    """End the process groups: SIGTERM to all of them at once, SIGKILL to what is left of any."""
    for server in servers:
        _signal_group(server, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    for server in servers:
        with suppress(subprocess.TimeoutExpired):
            server.process.wait(max(0.1, deadline - time.monotonic()))
        _signal_group(server, signal.SIGKILL)
        server.process.wait()


def _signal_group(server: Running, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(server.process.pid, number)


def said(log: Path | None) -> str:
    """Say why it ended, by its log; without one it has said so in the terminal."""
    if not log:
        return "see above"
    return reason(log.read_text(errors="replace") if log.exists() else "")


def last_exception(log: Path | None) -> str:
    """Return the line that names the exception of the log's last traceback, or ""."""
    return exception_in(log.read_text(errors="replace") if log and log.exists() else "")


def exception_in(said: str) -> str:
    """Return the line that names the exception of the last traceback, or "".

    Lines of an exception group's members begin as that of the traceback does.
    """
    before, found, after = said.rpartition("Traceback (most recent call last):\n")
    if not found:
        return ""
    margin = before.rpartition("\n")[2]
    lines = (line.removeprefix(margin) for line in after.splitlines())
    return next((line for line in lines if line.strip() and not line.startswith(" ")), "")
