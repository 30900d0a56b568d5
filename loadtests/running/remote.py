"""`run` on another machine: both ends.

The near end starts `python -m loadtests.running.remote` there, as loadtests/away.py does it. That
says what it is, is told what to measure, and then says the events as `run` yields them. When its
locust master listens it asks for the load generators, which the near end brings. It ends when the
connection does, with all that it has started.
"""

from project import command

if __name__ == "__main__":
    command.begin()

import hashlib
import json
import os
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import django
from django.core.management.base import CommandError

from project import limits, services

if __name__ == "__main__":
    services.validate_addresses()
    django.setup()

from loadtests import away
from loadtests.arguments import bad
from loadtests.away import Away, Place
from loadtests.running import events, network, servers
from loadtests.running.environment import commit
from loadtests.running.events import Event, Failed, Measured, Started
from loadtests.running.run import OPTIONS, run
from loadtests.running.servers import ServerError
from loadtests.running.workers import Crew, brought
from project.errors import FatalError
from project.ports import LOOPBACK, place
from project.processes import BASE_DIR

MODULE = "loadtests.running.remote"
# What the far end says besides events: who it is; that a master listens; a log to keep; that it
# cannot go on, in a line; that all has ended.
HELLO, LISTENING, LOG, ERROR, OVER = "hello", "listening", "log", "error", "over"
SSH = "SSH_CONNECTION"  # client address and port, server address and port
MAX_LOG = 1_000_000  # characters from the end of a server's log


def version() -> dict[str, str | None]:
    """Tell the project's code, and the reader's own pairs, from any other version of them."""
    files = [
        path
        for folder in ("comparisons", "loadtests", "project")
        for path in sorted((BASE_DIR / folder).rglob("*.py"))
    ]
    for name in filter(None, os.environ.get("PAIRS", "").split(os.pathsep)):
        own = Path(name)
        files += [own] if own.is_file() else sorted(own.glob("*.py"))
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return {"commit": commit(), "code": digest.hexdigest()}


# --- The near end


def run_there(
    there: Place,
    options: Mapping[str, Any],
    seed: int,
    logs: Path,
    crew: Crew,
    address: str | None,
) -> Generator[Event, None, None]:
    """Have `run` run there, and yield its events. address: as for `run`; None is as ssh knows it.

    Raises what `run` raises there; FatalError, in a line, if the other machine cannot be used or is
    lost. Close the iterator to end all that runs there.
    """
    with servers.temporary_folder() as folder, ExitStack() as stack:
        log = Path(folder, "away.log")
        far = stack.enter_context(away.running(there, log, MODULE, environ=_environ()))
        hello = _hear(far)
        _compare_versions(there.name, hello["version"])
        crew = replace(crew, address=address or _address(hello["ssh"]))
        wanted = {name: options[name] for name in OPTIONS}
        of_crew = {"here": crew.size, "address": crew.address, "may_lose": crew.may_lose}
        far.say({"options": wanted, "seed": seed, "crew": of_crew})
        trip: float | None = None
        check: Callable[[], None] | None = None
        while (message := _hear(far, check))["event"] != OVER:
            if message["event"] == LISTENING:
                trip = _round_trip_ms(there.name, crew, message["port"])
                check = stack.enter_context(brought(crew, message["port"], Path(folder)))
            elif message["event"] == LOG:
                _keep(logs / message["name"], message["text"])
            elif message["event"] == ERROR:
                raise _error(message)
            else:
                event = events.from_row(message)
                if isinstance(event, Started):
                    check = None
                    event = _seen_from_here(event, there.name, trip)
                yield _moved(event, hello["logs"], str(logs))


def _hear(far: Away, check: Callable[[], None] | None = None) -> dict[str, Any]:
    """Wait for its next message, and look meanwhile after what has been started from here."""
    while (message := far.hear(0.2)) is None:
        if check:
            check()
    return message


def _environ() -> dict[str, str]:
    """Return what the far end needs to know of this environment: the reader's own services, pairs.

    libpq's variables, too, if there is a database that they are for.
    """
    names = {"PAIRS", *(service.variable for service in services.SERVICES)}
    if os.environ.get("DATABASE_URL"):
        names |= {name for name in os.environ if name.startswith("PG")}
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def _compare_versions(name: str, there: Mapping[str, Any]) -> None:
    here = version()
    if there != here:
        commits = f"{_shown(there['commit'])} there, {_shown(here['commit'])} here"
        raise bad(f"{name} has other code of this project, or of your pairs: {commits}")


def _shown(commit: str | None) -> str:
    if not commit:
        return "no commit"
    return f"{commit.removesuffix('+')} with changes" if commit.endswith("+") else commit


def _address(ssh: str | None) -> str:
    """Return the address at which ssh has reached that machine; loopback if it was not ssh.

    Where both ends have the same, it is that of how somebody has come to this one.
    """
    own = os.environ.get(SSH)
    return ssh.split()[2] if ssh and ssh != own and len(ssh.split()) == 4 else LOOPBACK


def _round_trip_ms(name: str, crew: Crew, port: int) -> float | None:
    """Measure it to the servers' address. ServerError if a load generator here can't reach it."""
    try:
        return network.round_trip_ms(crew.address, port)
    except OSError as error:
        if not crew.here:
            return None
        why = error.strerror or str(error)
        raise ServerError(
            f"{name}: {place(crew.address, port)} cannot be reached from here: {why} (--address)"
        ) from None


def _keep(path: Path, text: str) -> None:
    with suppress(OSError):  # a full disk will be said of the result
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _error(message: Mapping[str, Any]) -> Exception:
    if message["of_command"]:
        return CommandError(message["text"], returncode=message["status"])
    return FatalError(message["text"])


def _seen_from_here(started: Started, name: str, trip: float | None) -> Started:
    """Say what only this end knows: what the reader calls that machine, and how far away it is."""
    found = [
        row | {"name": name, "round_trip_ms": trip} if row["role"] == "servers" else row
        for row in started.environment["hosts"]
    ]
    return replace(started, environment=started.environment | {"hosts": found})


def _moved(event: Event, there: str, here: str) -> Event:
    """Have what says where a log is name the folder here, to which it has been brought."""
    match event:
        case Failed():
            return replace(event, text=event.text.replace(there, here))
        case Measured():
            broken = [text.replace(there, here) for text in event.round.broken]
            return Measured(replace(event.round, broken=broken))
    return event


# --- The far end


@dataclass(frozen=True)
class Near:
    """The near end, seen from there: its lines are stdin, what it is told is stdout."""

    say: Callable[[Mapping[str, Any]], None]

    @contextmanager
    def bring(self, crew: Crew, port: int, folder: Path) -> Iterator[Callable[[], None]]:
        """Have it bring the load generators: see workers.Bring. It looks itself whether they come,
        and ends them.
        """
        self.say({"event": LISTENING, "port": port})
        yield lambda: None


def main() -> int:
    output = sys.stdout

    def say(message: Mapping[str, Any]) -> None:
        output.write(json.dumps(message) + "\n")
        output.flush()

    with redirect_stdout(sys.stderr), servers.temporary_folder() as folder:
        hello = {"version": version(), "ssh": os.environ.get(SSH), "logs": folder}
        say({"event": HELLO, **hello})
        if not (line := sys.stdin.readline()):
            return 1
        try:
            with limits.named():
                _measure(json.loads(line), Near(say), Path(folder))
        except CommandError as error:
            say(_as_error(error, error.returncode, of_command=True))
        except FatalError as error:
            say(_as_error(error, 0))
        else:
            say({"event": OVER})
    return 0


def _measure(asked: Mapping[str, Any], near: Near, folder: Path) -> None:
    crew = Crew(**asked["crew"])
    kept: set[str] = set()
    with closing(run(asked["options"], asked["seed"], folder, crew, near.bring)) as found:
        for event in found:
            for log in folder.glob("*.log"):
                if log.name not in kept:
                    kept.add(log.name)
                    text = log.read_text(errors="replace")[-MAX_LOG:]
                    near.say({"event": LOG, "name": log.name, "text": text})
            near.say(events.as_row(event))


def _as_error(error: Exception, status: int, of_command: bool = False) -> dict[str, Any]:
    return {"event": ERROR, "text": str(error), "status": status, "of_command": of_command}


if __name__ == "__main__":
    command.run(main)
