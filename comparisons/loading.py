"""Imports the pairs in their reading order; what is wrong with one is a DeclarationError."""

import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_noop as marked

from comparisons import own_pairs, registry
from comparisons.declarations import DeclarationError, nearest, place_of
from comparisons.registry import Comparison

PAIRS = settings.BASE_DIR / "comparisons" / "pairs"
ORDER = PAIRS / "__init__.py"
LABELS = ["Claim", "Blocks", "Instead"]
OWN = marked("Your own")  # the last group: the pairs that PAIRS names


def load(groups: Mapping[str, Sequence[str]]) -> dict[str, list[ModuleType]]:
    """The modules of these names in `comparisons.pairs`, by group, and last the reader's own.

    In a server that is measured only the one that it serves: nobody asks it for the others, and
    what they import would be in its start, in its memory and in each of its garbage collections.
    """
    names = list(chain.from_iterable(groups.values()))
    files = {path.stem for path in PAIRS.glob("[!_]*.py")}
    for place, name in enumerate(names):
        if name not in files:
            problem = f"there is no comparisons/pairs/{name}.py"
            raise DeclarationError(_line_of(name), problem + nearest(name, files - {*names}))
        if name in names[:place]:
            raise DeclarationError(_line_of(name, last=True), f"{name!r} is in GROUPS twice")
    own = {file.stem: file for file in own_pairs.files_of(settings.PAIRS)}
    for name in own:
        if name in files:
            problem = f"comparisons/pairs/{name}.py has this name already: give it another"
            raise DeclarationError(str(own[name]), problem)
    served = settings.SERVED.partition("/")[0].replace("-", "_")
    wanted = {served} if served in (*names, *own) else {*names, *own}
    found = {
        group: [_pair(name) for name in of_group if name in wanted]
        for group, of_group in groups.items()
    }
    if mine := [file for name, file in own.items() if name in wanted]:
        found[OWN] = [_checked(file, partial(own_pairs.import_pair, file)) for file in mine]
    return found


def why_unknown(slug: str) -> str:
    """Why there is no such comparison though it has a file; nothing where it has none."""
    name = slug.replace("-", "_")
    file = PAIRS / f"{name}.py"
    if not name.isidentifier() or not file.exists() or f"comparisons.pairs.{name}" in sys.modules:
        return ""
    file, order = file.relative_to(settings.BASE_DIR), ORDER.relative_to(settings.BASE_DIR)
    return f"{file} is there but not in GROUPS of {order}"


def _pair(name: str) -> ModuleType:
    return _checked(PAIRS / f"{name}.py", partial(import_module, f"comparisons.pairs.{name}"))


def _checked(file: Path, import_it: Callable[[], ModuleType]) -> ModuleType:
    """Import a pair. DeclarationError, with file and line, where that fails or it is none."""
    try:
        module = import_it()
    except DeclarationError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit) and type(error) is not SystemExit:
            raise  # a signal that ends this command
        raise DeclarationError(_place_of(error, file), _reason(error)) from error
    found: Any = getattr(module, "comparison", None)
    if not isinstance(found, Comparison):
        raise DeclarationError(place_of(file, 1), "it has no `comparison = Comparison(...)`")
    if found.module.__name__ != module.__name__:
        problem = f"its views are those of {found.module.__name__}, and not its own"
        raise DeclarationError(found.place, problem)
    for variant in found.variants:
        if variant.name.split("_")[0] not in ("sync", "async"):
            colour = "async" if variant.is_async else "sync"
            problem = f"the name {variant.name!r} does not begin with its colour"
            raise DeclarationError(
                variant.place, f"{problem}; did you mean '{colour}_{variant.name}'?"
            )
    if problem := _why_no_lesson(found):
        raise DeclarationError(place_of(file, 1), problem)
    return module


def _why_no_lesson(comparison: Comparison) -> str:
    """What the docstring lacks of a title and the three labels; nothing where it has all."""
    if not comparison.title:
        return "no docstring, which begins with a title; then come Claim:, Blocks: and Instead:"
    labels = list(comparison.lesson())
    for label in LABELS:
        if label not in labels:
            return f"its docstring has no `{label}: ...`"
    if labels != LABELS:
        return f"its docstring has {', '.join(labels)} instead of {', '.join(LABELS)}"
    return ""


def _place_of(error: BaseException, file: Path) -> str:
    """The line that raised it: the last one that is ours, wherever the error went from there.

    Ours is this checkout, and for a pair of the reader's own what stands beside it.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return place_of(error.filename, error.lineno or 1)
    lines = [
        (frame.filename, frame.lineno or 1)
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(file.parent) or _is_ours(frame.filename)
        if "site-packages" not in frame.filename
    ]
    return place_of(*(lines[-1] if lines else (file, 1)))


def _is_ours(file: str) -> bool:
    return (
        Path(file).is_relative_to(settings.BASE_DIR)
        and "site-packages" not in file
        and file not in (__file__, own_pairs.__file__)
    )


def _reason(error: BaseException) -> str:
    """For instance `NameError: name 'WIAT' is not defined; did you mean 'WAIT'?`."""
    unknown = re.match(
        r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", str(error)
    )
    if unknown and (fields := getattr(getattr(registry, unknown[1], None), "__match_args__", ())):
        return f"{unknown[1]} has no {unknown[2]!r}{nearest(unknown[2], fields)}"
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {said}"


def _line_of(name: str, *, last: bool = False) -> str:
    """Where GROUPS has this name, or has it last."""
    lines = [
        number
        for number, line in enumerate(ORDER.read_text().splitlines(), start=1)
        if f'"{name}"' in line
    ]
    return place_of(ORDER, lines[-1 if last else 0] if lines else 1)
