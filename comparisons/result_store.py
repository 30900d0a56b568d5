"""Result files on disk: read whatever is there, written so that no crash leaves half of one.

Beside `NAME.json` stands `NAME.samples.jsonl.gz`, a round a line, from which every figure can be
computed again. Each comparison is one gzip member of it.
"""

import gzip
import json
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from errno import ENOTDIR
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from comparisons.result import Result

REFERENCE = "reference.json"
KEPT = 24  # results in memory, a few MB each: a page that shows many reads each once
# All that reading a foreign file can raise: no file, no JSON, other types, keys or numbers in it.
UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RecursionError,
)

T = TypeVar("T")


class ResultError(Exception):
    """A file that is no result. str() is one line; problem is it without the path."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.problem = problem


class SaveError(Exception):
    """A result that cannot be saved. str() is one line."""


# --- Paths


def newest_first(folder: Path) -> list[Path]:
    """Names are times; a name of the user's own comes before them, the reference run last.

    A file without content is the name that a run has taken before it has anything to say.
    """
    paths = [path for path in folder.glob("[!.]*.json") if not _is_empty(path)]
    return sorted(
        paths,
        key=lambda path: (path.name != REFERENCE, path.name[0].isdecimal(), path.name),
        reverse=True,
    )


def samples_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}.samples.jsonl.gz")


def logs_path(path: Path) -> Path:
    """The folder of what servers of failing views have said, made only if there are any."""
    return path.with_name(f"{path.stem}.logs")


def reserve(path: Path) -> None:
    """Create the file, so that no other run takes its name. OSError if it exists or cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:  # it is there, and no folder
        raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR)) from None
    with open(path, "x"):
        pass


def release(path: Path) -> None:
    """Remove a file that was reserved and never written, and samples that could not be."""
    for file in (path, samples_path(path)):
        if _is_empty(file):
            file.unlink(missing_ok=True)


def _is_empty(path: Path) -> bool:
    with suppress(OSError):
        return path.stat().st_size == 0
    return False


# --- Reading


def read(path: Path) -> Result:
    """Read a result file. ResultError if it is none.

    As long as the file stays as it is the same object is returned: nobody may change it.
    """
    with reading(path):
        stat = path.stat()
        return _read(path, stat.st_ino, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=KEPT)
def _read(path: Path, *version: int) -> Result:
    return Result.from_content(json.loads(path.read_bytes()))


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise ResultError for whatever a foreign file makes the block raise."""
    try:
        yield
    except OSError as error:
        raise ResultError(path, f"cannot be read: {error.strerror}") from None
    except UNREADABLE as error:
        why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ResultError(path, f"not a result file: {' '.join(why.split())}") from None


def read_samples(path: Path, as_round: Callable[[dict[str, Any]], T]) -> tuple[list[T], str]:
    """Read the rounds of a result file. Return them, and why some are missing; "" if none is.

    They are read up to where a crash may have cut the file off. Each member of the file is a
    comparison, of which some rounds without the others say nothing.
    """
    samples = samples_path(path)
    rounds: list[T] = []
    try:
        rest = samples.read_bytes()
        while rest:
            member = zlib.decompressobj(wbits=31)
            with suppress(zlib.error):
                lines = member.decompress(rest).splitlines()
            if not member.eof:
                return rounds, f"{samples} is broken or ends too early"
            rounds += [as_round(json.loads(line)) for line in lines]
            rest = member.unused_data
    except FileNotFoundError:
        return [], f"{samples} is not there"
    except UNREADABLE as error:
        return [], f"{samples} cannot be read ({error!r})"
    return rounds, ""


# --- Writing


def save(path: Path, result: Result, rounds: Sequence[Mapping[str, Any]]) -> str:
    """Append the rounds of the last comparison to the samples, then replace the result.

    A reader, or a crash, finds the whole of the old result or the whole of the new one. Return a
    remark if the samples of earlier comparisons are gone. SaveError, with what was there before as
    it was, if the disk is full or the like.
    """
    samples = samples_path(path)
    comparisons = {measurement.comparison for measurement in result.measurements}
    gone = len(comparisons) > 1 and not samples.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _append(samples, "".join(json.dumps(row) + "\n" for row in rounds))
        _replace(path, _written(result))
    except OSError as error:
        kept = path.exists() and not _is_empty(path)
        last = result.measurements[-1].comparison
        raise SaveError(
            f"cannot save {last} in {path}: {error.strerror}; "
            + ("what was measured before is there" if kept else "nothing is kept")
        ) from None
    return f"{samples} was deleted: earlier comparisons have no samples" if gone else ""


def write(path: Path, result: Result) -> None:
    """Write the result alone. SaveError if the disk is full or the like."""
    try:
        _replace(path, _written(result))
    except OSError as error:
        raise SaveError(f"cannot write {path}: {error.strerror}") from None


def _written(result: Result) -> str:
    """Return its JSON: indented, but for lists of numbers, which have a line each."""
    text = json.dumps(result.as_content(), indent=1, allow_nan=False)
    # No string has a line break of its own.
    return re.sub(r"\[\n[-+.,\de\s\[\]]*?\n *\](?=,?\n *[\"}])", _in_one_line, text) + "\n"


def _in_one_line(numbers: re.Match[str]) -> str:
    return re.sub(r"\.0(?=[,\]])", "", "".join(numbers[0].split()))


def _append(path: Path, text: str) -> None:
    """Append the text as one whole gzip member, or nothing of it."""
    with open(path, "ab", buffering=0) as file:
        length = file.tell()
        try:
            rest = memoryview(gzip.compress(text.encode()))
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            file.truncate(length)
            raise


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text)
        os.replace(draft, path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
