"""Both ends of a process of ours on another machine, which a command of the reader's starts.

    COMMAND env -C CHECKOUT PYTHON -m loadtests.away

`ssh app1`, `docker exec -i app`, `ip netns exec app`: whatever runs words elsewhere and passes
stdin and stdout on. No word needs quoting, so that a shell in between does no harm. What is to run
comes as the first line; then lines go both ways, and an empty one each second, the beat. A cable
that is cut says nothing: whoever has heard no beat for SILENCE_S takes the other end for lost, and
the far end then ends all that it has started.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from project import signals
from project.environment import child_environ
from project.errors import FatalError
from project.processes import BASE_DIR, dying_with_parent
from project.reasons import reason

BEAT_S = 1
SILENCE_S = 10
STOP_TIMEOUT_S = 25  # of what runs there, whose servers and services have some ten each
ENDED = "ended"  # the last event: `status`, and what the process `said`
PLAIN = re.compile(r"[\w./@%+=:,-]+")  # words that every shell leaves as they are


class AwayError(FatalError):
    """The other machine cannot be used, or is lost. str() is one line."""


@dataclass(frozen=True)
class Place:
    """Where the processes of one command run."""

    command: str
    checkout: Path = BASE_DIR
    python: str = sys.executable

    @classmethod
    def of(cls, command: str, checkout: str | None) -> Place:
        """Without a checkout it is where it is here, with the same Python. AwayError if odd."""
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise AwayError(f"{command!r}: {error}") from None
        if not words or not shutil.which(words[0]):
            raise AwayError(f"{command!r}: no such program")
        place = cls(command)
        if checkout:
            place = cls(command, Path(checkout), f"{checkout.rstrip('/')}/.venv/bin/python")
        for word in (str(place.checkout), place.python):
            if not PLAIN.fullmatch(word):
                raise AwayError(f"{word!r}: a shell on the way could misread this path")
        return place

    @property
    def name(self) -> str:
        """Return the last word that is no option: `load1` of `docker exec -i load1`."""
        words = shlex.split(self.command)
        return next((word for word in reversed(words) if not word.startswith("-")), words[0])

    def argv(self) -> list[str]:
        far = ["env", "-C", str(self.checkout), self.python, "-m", "loadtests.away"]
        return [*shlex.split(self.command), *far]


# --- The near end


class Away:
    """A process elsewhere, seen from here."""

    def __init__(self, place: Place, log: Path) -> None:
        self.name = place.name
        self._log = log
        with open(log, "wb") as errors:
            try:
                self._process = subprocess.Popen(
                    dying_with_parent(place.argv()),
                    cwd=BASE_DIR,
                    env=child_environ(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    start_new_session=True,  # Ctrl-C is for us, who then end it in good order
                )
            except OSError as error:
                raise AwayError(f"{place.command}: {error.strerror}") from None
        assert self._process.stdout
        self._lines = Lines(self._process.stdout)
        self._writing = threading.Lock()
        self._over = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        while not self._over.wait(BEAT_S):
            with suppress(OSError, ValueError):
                self._write(b"\n")

    def _write(self, line: bytes) -> None:
        assert self._process.stdin
        with self._writing:
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def say(self, message: Mapping[str, Any]) -> None:
        """Send it; that nobody is there any more shows in what one hears."""
        with suppress(OSError, ValueError):
            self._write(json.dumps(message).encode() + b"\n")

    def hear(self, timeout_s: float = SILENCE_S) -> dict[str, Any] | None:
        """Return the next message; None if none has come in this time. AwayError if it is lost."""
        deadline = time.monotonic() + timeout_s
        while True:
            line = self._lines.next(deadline - time.monotonic())
            if line is None:
                if (why := self.why_lost()) and self._lines.is_empty():
                    raise AwayError(f"{self.name}: {why}")
                if time.monotonic() >= deadline:
                    return None
                continue
            try:
                message = json.loads(line)
            except ValueError:
                message = None
            if not isinstance(message, dict):  # what a shell prints at its start
                continue
            if message.get("event") == ENDED:
                self._lines.end()
                raise AwayError(f"{self.name}: {message['said']}")
            return message

    def why_gone(self) -> str:
        """Say why one who has nothing to say but that is no more; "" while it lives."""
        try:
            while self.hear(0):
                pass
        except AwayError as error:
            return str(error)
        return ""

    def why_lost(self) -> str:
        """Say why nothing more will come; "" while it lives."""
        if self._lines.ended:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(BEAT_S)
            said = self._log.read_text(errors="replace").strip() if self._log.exists() else ""
            return f"the connection ended: {reason(said)}" if said else "the connection was lost"
        if self._lines.silence() > SILENCE_S:
            return f"nothing heard for {SILENCE_S} s: the connection is lost"
        return ""

    def end(self) -> None:
        """End it, and with it all that it has started; wait until it has."""
        self._over.set()
        process = self._process
        with suppress(OSError), self._writing:
            assert process.stdin
            process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(0 if self._lines.silence() > SILENCE_S else STOP_TIMEOUT_S + BEAT_S)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._lines.join()


class Lines:
    """The lines of a pipe, read by a thread: waiting for one and hearing beats are two things."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._lines: list[bytes] = []
        self._news = threading.Condition()
        self._heard = time.monotonic()
        self.ended = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        rest = b""
        with suppress(OSError, ValueError):
            # Not line by line: a long one, on a slow way, is no silence.
            while data := os.read(self._pipe.fileno(), 2**16):
                *lines, rest = (rest + data).split(b"\n")
                with self._news:
                    self._heard = time.monotonic()
                    self._lines += [line + b"\n" for line in lines if line.strip()]
                    self._news.notify_all()
        self.end()

    def end(self) -> None:
        with self._news:
            self.ended = True
            self._news.notify_all()

    def next(self, timeout_s: float) -> bytes | None:
        """Return the next line; None if there is none in this time, or in BEAT_S."""
        with self._news:
            if not self._lines and not self.ended:
                self._news.wait(min(BEAT_S, max(0, timeout_s)))
            return self._lines.pop(0) if self._lines else None

    def is_empty(self) -> bool:
        return not self._lines

    def silence(self) -> float:
        """Return the seconds since the last beat or line."""
        return time.monotonic() - self._heard

    def join(self) -> None:
        self._thread.join(BEAT_S)  # what a process has left behind may hold the pipe
        if not self._thread.is_alive():
            self._pipe.close()


@contextmanager
def running(
    place: Place,
    log: Path,
    module: str,
    argv: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Iterator[Away]:
    """Run `python -m module argv` there, with these variables; end it after the block."""
    with signals.held():
        away = Away(place, log)
    try:
        away.say({"module": module, "argv": list(argv), "environ": dict(environ or {})})
        yield away
    finally:
        with signals.held():
            away.end()


# --- The far end


class Far:
    """Runs one process and passes its lines on, until either side ends."""

    def __init__(self) -> None:
        self._near = Lines(sys.stdin.buffer)
        self._writing = threading.Lock()
        self._told = threading.Event()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda *_: self._told.set())

    def run(self) -> int:
        job = None
        while job is None:
            line = self._near.next(BEAT_S)
            if line is None and self._is_alone():
                return 1
            job = json.loads(line) if line else None
        process = subprocess.Popen(
            dying_with_parent([sys.executable, "-m", job["module"], *job["argv"]]),
            env=child_environ() | job["environ"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        said: list[bytes] = []
        passing = [
            threading.Thread(target=self._pass_on, args=[process.stdout]),
            threading.Thread(target=self._keep, args=[process.stderr, said]),
        ]
        for thread in passing:
            thread.start()
        beat_at = 0.0
        while process.poll() is None and not self._is_alone():
            if time.monotonic() >= beat_at:
                self._write(b"\n")
                beat_at = time.monotonic() + BEAT_S
            if line := self._near.next(0.1):
                assert process.stdin
                with suppress(OSError):
                    process.stdin.write(line)
                    process.stdin.flush()
        self._end(process)
        for thread in passing:
            thread.join(BEAT_S)
        status = process.returncode
        text = b"".join(said).decode(errors="replace")
        why = reason(text) if text.strip() or status >= 0 else f"died (signal {-status})"
        last = {"event": ENDED, "status": status, "said": why}
        self._write(json.dumps(last).encode() + b"\n")
        return status

    def _is_alone(self) -> bool:
        return self._near.ended or self._told.is_set() or self._near.silence() > SILENCE_S

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """End it in good order, and then all that is left of it."""
        if process.poll() is None:
            process.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while process.poll() is None and time.monotonic() < deadline:
            self._write(b"\n")  # so that the near end waits for it
            time.sleep(0.1)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _pass_on(self, pipe: IO[bytes]) -> None:
        for line in pipe:
            self._write(line)

    def _keep(self, pipe: IO[bytes], said: list[bytes]) -> None:
        said.extend(pipe)

    def _write(self, line: bytes) -> None:
        with suppress(OSError, ValueError), self._writing:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    os._exit(Far().run())  # a thread still reads stdin, which Python's own end would wait for
