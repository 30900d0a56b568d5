"""Pairs of the reader's own: files named in PAIRS (see README), imported by their path."""

import ast
import importlib.util
import os
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from comparisons.declarations import DeclarationError

PACKAGE = "own_pairs"  # so that `my_pair` is nothing that another module of that name could be

# Paths that would be its page's (project/urls.py).
TAKEN = {
    "advice",
    "bystander",
    "changes",
    "charts",
    "held",
    "history",
    "language",
    "pools",
    "static",
}


def files_of(paths: list[Path]) -> list[Path]:
    """The pairs' files: of a folder, those that declare a comparison.

    DeclarationError where there is none, or where two would have one slug.
    """
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise DeclarationError(str(path), "there is no such file")
        found = [path] if path.is_file() else [*_of_folder(path)]
        if not found:
            raise DeclarationError(str(path), "no file in it has a `comparison = Comparison(...)`")
        files += [file for file in found if file not in files]
    names: dict[str, Path] = {}
    for file in files:
        if why := why_no_name(file.stem):
            raise DeclarationError(str(file), why)
        if (other := names.setdefault(file.stem, file)) != file:
            raise DeclarationError(str(file), f"{other} has the same name")
    return files


def why_no_name(stem: str) -> str:
    """Say why a file of this name can be no pair; "" if it can."""
    if stem in TAKEN:
        return f"/{stem}/ is another page: give it another name"
    if stem.isidentifier() and stem.isascii() and not stem.startswith("_"):
        return ""
    name = "".join(char if char.isascii() and char.isalnum() else "_" for char in stem).strip("_")
    name = f"pair_{name}" if not name or name[0].isdecimal() else name
    return f"a pair's name has letters, digits and _ only: call it {name}.py"


def slug_of(path: str | Path) -> str:
    return Path(path).stem.replace("_", "-")


def import_pair(file: Path) -> ModuleType:
    """Import the file, which finds the modules beside it. Raises what importing it raises."""
    name = f"{PACKAGE}.{file.stem}"
    if name in sys.modules:
        return sys.modules[name]
    if (folder := str(file.parent)) not in sys.path:
        sys.path.append(folder)  # behind ours: `comparisons` stays this project's
    spec = importlib.util.spec_from_file_location(name, file)
    assert isinstance(spec, ModuleSpec)
    assert spec.loader
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _of_folder(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.glob("[!_.]*.py")):
        try:
            tree = ast.parse(file.read_bytes())
        except OSError as error:
            raise DeclarationError(str(file), f"cannot be read: {error.strerror}") from None
        except (SyntaxError, ValueError):
            continue  # whether it is meant to be one cannot be told; asked for by name, it is said
        if any(_declares(node) for node in tree.body):
            yield file


def _declares(node: ast.stmt) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return any(isinstance(target, ast.Name) and target.id == "comparison" for target in targets)


def is_path(word: str) -> bool:
    """Tell the path of a pair from a slug."""
    return word.endswith(".py") or os.sep in word


def absolute(paths: str) -> str:
    """Return what PAIRS says, as it means the same in every folder."""
    return os.pathsep.join(os.path.abspath(path) for path in paths.split(os.pathsep) if path)
