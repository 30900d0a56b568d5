"""Signals at every step of a command: it ends in good order, says what it kept, leaves nothing.

Real commands with real services of their own. The short table has what differs most; the long one
has every kind of command, and every signal at every event.
"""

import gzip
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from project import signals
from project.ports import free_port
from project.processes import BASE_DIR, default_signals
from tests.support.commands import await_
from tests.support.prepared import copied, environ_of

COMPARE = ("manage.py", "compare", "print", "--quick", "--output", "{output}")
SERVE = ("manage.py", "serve", "asgi-uvicorn", "--port", "{port}")
RUNSERVER = ("manage.py", "runserver", "--noreload", "127.0.0.1:{port}")
SCRIPT = ("-m", "loadtests.studies.first_byte")
MARK = "INTERRUPTED_RUN"  # a variable by which all that a command has started is found


@dataclass
class Run:
    """A command that runs, what it writes, and all that it has started."""

    process: subprocess.Popen[str]
    folder: Path
    services: Path
    port: int
    before: dict[str, float] = field(default_factory=dict)

    @property
    def result(self) -> Path:
        return self.folder / "results" / "result.json"

    @property
    def samples(self) -> Path:
        return self.result.with_name("result.samples.jsonl.gz")

    def children(self) -> list[psutil.Process]:
        """All that live, whoever their parent is now."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == str(self.folder):
                    found.append(process)
            except psutil.Error:
                continue
        return [process for process in found if process.pid != self.process.pid]

    def has(self, *words: str) -> bool:
        """Whether a child's command line has one of these words."""
        for child in self.children():
            try:
                if set(words) & set(child.cmdline()):
                    return True
            except psutil.Error:
                continue
        return False


def handles_signals(run: Run) -> bool:
    """From here on the command ends on signals as it says; before, as Python starts, it can't."""
    status = Path(f"/proc/{run.process.pid}/status").read_text()
    (caught,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")]
    return bool(int(caught, 16) >> signal.SIGUSR1 - 1 & 1)


def measures(run: Run) -> bool:
    """The load generator has a connection to a server."""
    for child in run.children():
        try:
            if "loadtests.generator" in child.cmdline() and child.net_connections("tcp"):
                return True
        except psutil.Error:
            continue
    return False


EVENTS: dict[str, Callable[[Run], bool]] = {
    "imports": handles_signals,
    "services start": lambda run: (run.services / "postgres" / "keeper.log").exists(),
    "migration": lambda run: run.has("migrate"),
    "generator starts": lambda run: run.has("loadtests.generator"),
    "servers start": lambda run: run.has("gunicorn"),
    "measures": measures,
    "saves": lambda run: run.samples.exists(),
    "ends": lambda run: run.result.exists() and run.result.stat().st_size > 0,
    "serves": lambda run: run.has("uvicorn", "gunicorn") and listens(run.port),
    "listens": lambda run: listens(run.port),
}


def listens(port: int) -> bool:
    found = psutil.net_connections("tcp")
    return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in found)


@dataclass(frozen=True)
class Case:
    command: tuple[str, ...]
    event: str
    number: signal.Signals
    repeated: bool = False  # sent again and again until it has ended
    ignored: tuple[signal.Signals, ...] = ()  # at its start, and sent at the event too
    saved: bool = False
    status: int | None = None

    def __str__(self) -> str:
        repeated = "+" if self.repeated else ""
        words = [word for word in self.command if "{" not in word and "." not in word]
        return f"{' '.join(words[:2])} {self.event}: {self.number.name}{repeated}"


CASES = [
    Case(COMPARE, "imports", signal.SIGINT),
    Case(COMPARE, "services start", signal.SIGHUP),
    Case(COMPARE, "measures", signal.SIGUSR1, repeated=True),
    Case(SERVE, "serves", signal.SIGHUP, repeated=True),
    Case(RUNSERVER, "listens", signal.SIGINT, status=0),  # as Django has it
]
NAMED = [number for number in signals.ENDING if isinstance(number, signal.Signals)]
# Every event, the end of a run too, with the signals that people send, and every other signal once.
LONG_CASES = [
    Case(COMPARE, event, number, repeated, saved=event in ("saves", "ends"))
    for event in list(EVENTS)[:8]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for repeated in (False, True)
]
LONG_CASES += [Case(COMPARE, "measures", number) for number in sorted(NAMED)]
LONG_CASES += [
    Case(COMPARE, "generator starts", signal.SIGQUIT, ignored=(signal.SIGHUP, signal.SIGINT)),
    Case(RUNSERVER, "listens", signal.SIGUSR2, repeated=True),
    Case(SCRIPT, "servers start", signal.SIGXCPU, repeated=True),
]


@pytest.fixture(scope="module")
def migrated_folder(migrated, tmp_path_factory):
    """One for all: what an interrupted command leaves there is no obstacle to the next."""
    return copied(migrated, tmp_path_factory.mktemp("interrupted"))


@pytest.fixture
def started(migrated_folder, run_once, tmp_path):
    """Starts a case's command."""
    runs = []

    def start(case: Case) -> Run:
        for name in ("results", "tmp"):
            (tmp_path / name).mkdir()
        to_migrate = case.event == "migration"
        services_folder = copied(run_once, tmp_path) if to_migrate else migrated_folder
        own = {"TMPDIR": tmp_path / "tmp", MARK: tmp_path}
        port = free_port()
        output = tmp_path / "results" / "result.json"

        def dispositions() -> None:
            default_signals()
            for number in case.ignored:
                signal.signal(number, signal.SIG_IGN)

        (services_folder / "postgres" / "keeper.log").unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, *(word.format(output=output, port=port) for word in case.command)],
            cwd=BASE_DIR,
            env=environ_of(services_folder) | {name: str(value) for name, value in own.items()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=dispositions,
        )
        runs.append(Run(process, tmp_path, services_folder, port))
        return runs[-1]

    yield start
    for run in runs:
        run.process.kill()
        run.process.communicate()


def interrupt(case: Case, run: Run) -> tuple[str, str]:
    """Send the signals when the event comes; what the command has said in the end."""
    await_(lambda: EVENTS[case.event](run), run.process)
    for number in case.ignored:
        run.process.send_signal(number)
    run.process.send_signal(case.number)
    deadline = time.monotonic() + 100
    while case.repeated and run.process.poll() is None and time.monotonic() < deadline:
        run.process.send_signal(case.number)
        time.sleep(0.02)
    return run.process.communicate(timeout=100)


def check(case: Case, run: Run) -> None:
    out, err = interrupt(case, run)
    status = 128 + case.number if case.status is None else case.status
    assert (run.process.returncode, err) == (status, err), err
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    left = run.children()
    assert psutil.wait_procs(left, timeout=30)[1] == []
    assert list((run.folder / "tmp").iterdir()) == []
    if run.result.exists() or case.saved:
        assert json.loads(run.result.read_text())["measurements"]
        with gzip.open(run.samples, "rt") as file:
            assert [json.loads(line)["comparison"] for line in file]
        assert f"result: {run.result}" in out
    else:
        assert list(run.result.parent.iterdir()) == []
    if case.command is COMPARE and case.event != "imports":
        assert f"stopped by {case.number.name}" in out or case.event == "ends"
        assert out.splitlines()[-1].endswith("invalid")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_signal_ends_command_in_good_order(case, started):
    check(case, started(case))


@pytest.mark.long
@pytest.mark.parametrize("case", LONG_CASES, ids=str)
def test_every_signal_ends_every_command_at_every_event(case, started):
    check(case, started(case))
