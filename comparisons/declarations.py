"""How a wrong declaration is refused: in one line, with its file, its line and the nearest word."""

import difflib
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings

# What stands between a declaration and the code that asks where it was written.
_BETWEEN = {__name__, "comparisons.registry", "dataclasses"}


class DeclarationError(ValueError):
    """What is declared wrongly. str() is one line: `comparisons/pairs/cache.py:57: ...`."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {' '.join(problem.split())}")


def place_of(file: str | Path, line: int) -> str:
    """Return `file:line` as editors understand it, relative to the checkout if it is in there."""
    return f"{shown_path(file)}:{line}"


@cache  # each declaration of a file asks for its name
def shown_path(file: str | Path) -> Path:
    """Return the file from the checkout on if it is in there, or else whole."""
    path, checkout = Path(file), settings.BASE_DIR
    return path.relative_to(checkout) if path.is_relative_to(checkout) else path


def written_at() -> str:
    """Return the place of the call that makes a declaration."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__") in _BETWEEN:
        frame = frame.f_back
    return place_of(frame.f_code.co_filename, frame.f_lineno)


def nearest(word: Any, words: Iterable[str]) -> str:
    """`; did you mean 'sync'?`, of the words that are right; nothing where there is none."""
    found = difflib.get_close_matches(str(word), words, n=1, cutoff=0)
    return f"; did you mean {found[0]!r}?" if found else ""
