"""What is said to the load generator's process, and what it says (see generator.py)."""

import json
import os
import select
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from loadtests.running.servers import ServerError, said

# Seconds without a word, after which the generator is given up: no part of a round takes so long.
SILENCE_LIMIT = 120
CORE = "GENERATOR_CORE"  # the environment variable with the number of its own core, if it has one


class Lines:
    """The lines of a pipe, one by one; waiting and reading share a buffer, so none is missed."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._buffer = b""

    def next(self, timeout: float) -> bytes | None:
        """The next line; None if nothing comes in `timeout` seconds. EOFError after the last."""
        while b"\n" not in self._buffer:
            if not select.select([self._pipe], [], [], timeout)[0]:
                return None
            if not (data := os.read(self._pipe.fileno(), 2**16)):
                raise EOFError
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


@dataclass(frozen=True)
class Generator:
    """The locust process. capacity: requests/s against a trivial server, at the start."""

    process: subprocess.Popen[bytes]
    lines: Lines
    log: Path
    capacity: float | None = None

    def order(self, **order: Any) -> None:
        """Ask for one round. ServerError if the generator is dead."""
        assert self.process.stdin
        try:
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._death() from None

    def expect(
        self, event: str, meanwhile: Callable[[], None] = lambda: None, every: float = 1
    ) -> dict[str, Any]:
        """The next event of that name; calls `meanwhile` every so many seconds until it comes.

        ServerError if the generator dies, or is silent for SILENCE_LIMIT. Silence is counted by
        calls, so that a stop of this process itself (Ctrl-Z) is none.
        """
        silence = 0.0
        while silence < SILENCE_LIMIT:
            try:
                line = self.lines.next(every)
            except EOFError:
                raise self._death() from None
            if line is None:
                silence += every
                meanwhile()
                continue
            message: dict[str, Any] = json.loads(line)
            if message["event"] == event:
                return message
            silence = 0
        raise ServerError(f"the load generator has said nothing for {SILENCE_LIMIT} s")

    def _death(self) -> ServerError:
        return ServerError(f"the load generator died: {said(self.log)}")
