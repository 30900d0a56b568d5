"""The command's own stdin, stdout and stderr, whatever stands behind them: a pipe, a full disk."""

import codecs
import io
import os
import sys
from contextlib import suppress
from typing import Any, NoReturn

from project import exit_status

# What is said where the encoding lacks a character; an outcome's sign is said by its name.
IN_WORDS = {"×": "x", "∞": "inf", "–": "-", "≥": ">="}


class OutputError(Exception):
    """stdout takes no more; str() is one line for stderr. No OSError: those are other files'."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"cannot write the output: {error.strerror}")
        self.status = (
            exit_status.BROKEN_PIPE
            if isinstance(error, BrokenPipeError)
            else exit_status.CANNOT_RUN
        )


class Stdout(io.TextIOWrapper):
    """Raises OutputError once; what is written later, at the end too, goes nowhere."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._lose(error)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> NoReturn:
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
        raise OutputError(error) from None


class Stderr(io.TextIOWrapper):
    """Whom should it tell that it cannot write?"""

    def write(self, text: str) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def prepare() -> None:
    """Make the three streams usable by this process and its children."""
    # A file opened later would get the number of a stream that is closed, and a child write to it.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    codecs.register_error("in_words", _in_words)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = _rewrapped(Stdout, sys.stdout, 1)
    sys.stderr = _rewrapped(Stderr, sys.stderr, 2)


def _rewrapped(kind: type[io.TextIOWrapper], stream: Any, number: int) -> io.TextIOWrapper:
    """Make the stream one of another class; a new one where Python found it closed."""
    if stream is None:
        return kind(os.fdopen(number, "wb", closefd=False), encoding="utf-8", errors="in_words")
    options = {name: getattr(stream, name) for name in ("encoding", "line_buffering")}
    through = stream.write_through
    return kind(stream.detach(), errors="in_words", write_through=through, **options)


def _in_words(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    from comparisons.result import OUTCOMES  # only here: few encodings lack anything

    in_words = {words.sign: f"[{outcome}]" for outcome, words in OUTCOMES.items()} | IN_WORDS
    characters = error.object[error.start : error.end]
    return "".join(in_words.get(char) or _escaped(char) for char in characters), error.end


def _escaped(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode()
