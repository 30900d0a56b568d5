"""Where each line of a view ran in one real request: the traces in traces.json.

`python -m loadtests.studies.traces [SLUG ...]` makes them, with comparisons/tracing.py. Line
numbers count from the function's own, so that a trace stays true when the function moves; a trace
whose functions have changed, or are served in another way, is left out.
"""

import ast
import hashlib
import inspect
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _

from comparisons.registry import Comparison, Variant
from comparisons.result import in_digits

FILE = Path(__file__).with_suffix(".json")
MAX_BYTES, MAX_TEXT, MAX_PARTS = 5_000_000, 200, 200
HELD_MS = 5  # a loop that is held for less makes nobody wait longer than a thread's turn does


@dataclass(frozen=True)
class Run:
    """When and where a trace was made."""

    machine: str
    python: str
    date: date


@dataclass(frozen=True)
class Part:
    """A line of a view, or of what it calls in its module, in one place where it ran.

    what: a function that the line has handed over, and that ran there; "" for the line itself.
    where: as comparisons/tracing.py names it. threads: how many there were. held_ms: that it ran,
    or blocked, there. awaited_ms: that it was suspended in an await, and held nothing.
    """

    function: str
    line: int
    source: str
    what: str
    where: str
    threads: int
    held_ms: float
    awaited_ms: float
    times: int

    @property
    def kind(self) -> str:
        return self.where.partition("-")[0]

    @property
    def place(self) -> str:
        return places()[self.where]


@dataclass(frozen=True)
class Row:
    """A part as a page shows it. The widths are percent of the request's time, for SVG.

    Where it ran several times at once, and so for longer than the request, the time of one.
    """

    part: Part
    held: str
    awaited: str
    often: str
    held_width: str
    awaited_width: str


@dataclass(frozen=True)
class Held:
    """What held the event loop longest, in one go: a statement, or a loop to its last line."""

    line: int
    last_line: int
    source: str
    ms: float

    @property
    def time(self) -> str:
        return ms(self.ms)


@dataclass(frozen=True)
class Trace:
    """One request to a variant. held_loop: of a pitfall, if a line of it held the event loop."""

    variant: str
    view: str  # the name of its function
    deployment: str
    run: Run
    took_ms: float
    parts: tuple[Part, ...]
    held_loop: Held | None
    source_hash: str

    @property
    def functions(self) -> list[tuple[str, list[Row]]]:
        """The parts by function, in the order of the file."""
        found: dict[str, list[Row]] = {}
        for part in self.parts:
            name = part.function.replace(".<locals>", "")
            found.setdefault(name, []).append(self._row(part))
        return list(found.items())

    def _row(self, part: Part) -> Row:
        each = part.held_ms + part.awaited_ms > self.took_ms and part.times > 1
        held, awaited = (
            time / (part.times if each else 1) for time in (part.held_ms, part.awaited_ms)
        )
        often = []
        if part.times > 1:
            times = in_digits(f"{part.times:,}")
            often.append(
                (_("each of %(n)s times") if each else _("%(n)s times in all")) % {"n": times}
            )
        if part.threads > 1 and part.kind == "thread":
            often.append(_("in %(n)s threads") % {"n": part.threads})
        if held > 1.1 * self.took_ms:
            often.append(_("it goes on after the answer"))
        percent = 100 / self.took_ms if self.took_ms else 0
        held_width = min(100.0, percent * held)
        return Row(
            part,
            # Of a process that a line starts nobody notes the end.
            held=ms(held) if held or not part.what else "",
            awaited=ms(awaited) if awaited >= 0.05 else "",
            often=", ".join(often),
            held_width=f"{held_width:.2f}",
            awaited_width=f"{min(100 - held_width, percent * awaited):.2f}",
        )


def places() -> dict[str, str]:
    """Return what the page calls each place in which something can run."""
    return {
        "loop": _("event loop"),
        "loop-of-request": _("event loop of the request"),
        "loop-of-thread": _("event loop of another thread"),
        "thread-of-server": _("thread of the server"),
        "thread-of-request": _("thread of the request"),
        "thread-of-requests": _("thread that all requests share"),
        "thread-of-loop": _("thread of the default executor"),
        "thread-of-executor": _("thread of an executor"),
        "greenlet": _("greenlet"),
        "process-of-pool": _("process of a pool"),
        "process-of-service": _("process of a service"),
        "process-started": _("process that it starts"),
    }


def ms(value: float) -> str:
    """Return for instance `101 ms`, `2.3 ms`, `< 0.1 ms`; no line ends in it."""
    time = f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
    said = _("< 0.1 ms") if value < 0.1 else _("%(time)s ms") % {"time": in_digits(time)}
    return said.replace(" ", "\N{NO-BREAK SPACE}")


# --- A view's source, and whether a trace is still of it


class Source:
    """A module's functions by their qualified names, and its lines."""

    def __init__(self, text: str) -> None:
        self.lines = text.splitlines()
        self.first: dict[str, int] = {}  # line of each function
        self._outer: dict[str, tuple[int, int]] = {}  # lines of the definition that it is in
        self._statements: dict[int, int] = {}  # last line of the statement that begins at a line
        for node in ast.parse(text).body:
            self._add(node, "", None)

    def _add(self, node: ast.AST, prefix: str, outer: tuple[int, int] | None) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            outer = outer or (first, node.end_lineno or node.lineno)
            if not isinstance(node, ast.ClassDef):
                self.first[prefix + node.name] = node.lineno
                self._outer[prefix + node.name] = outer
            prefix += node.name + (".<locals>." * (not isinstance(node, ast.ClassDef)) or ".")
        if isinstance(node, ast.stmt):
            body: list[ast.stmt] = getattr(node, "body", [])
            last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            self._statements[node.lineno] = max(last, node.lineno)
        for inner in ast.iter_child_nodes(node):
            self._add(inner, prefix, outer)

    def statement(self, line: int) -> str:
        """Return the statement that begins at the line, as one line; of a block its head.

        LookupError if none does.
        """
        last = self._statements[line]
        return " ".join(text.strip() for text in self.lines[line - 1 : last])

    def definitions(self, functions: Iterator[str]) -> list[str]:
        """Return the source of each function's outermost definition. LookupError if it is gone."""
        places = sorted({self._outer[name] for name in functions})
        return ["\n".join(self.lines[first - 1 : last]) for first, last in places]


@lru_cache(maxsize=100)
def _source_at(path: str, _changed: int) -> Source:
    return Source(Path(path).read_text())


def source_of(variant: Variant) -> Source:
    """Return the source of the file that has the variant's view."""
    path = inspect.getfile(inspect.unwrap(variant.view))
    return _source_at(path, os.stat(path).st_mtime_ns)


def name_of(variant: Variant) -> str:
    return variant.view.__qualname__


def source_hash(variant: Variant, functions: Iterator[str]) -> str:
    """Return a hash of the functions' source and of how the variant is served."""
    code = source_of(variant).definitions(iter([name_of(variant), *functions]))
    served = [
        variant.deployment,
        variant.threads,
        variant.database,
        sorted(variant.environ.items()),
    ]
    return hashlib.sha256(json.dumps([code, served]).encode()).hexdigest()[:16]


# --- The file


def entry_of(
    variant: Variant, run: Run, took_ms: float, taken: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the file's entry for what the tracer has taken of one request.

    Where another application than Django serves, of its module the view alone.
    """
    first = source_of(variant).first
    interface = variant.deployment.partition("-")[0]

    def own(function: str) -> bool:
        return function in first and (not variant.app or function == name_of(variant))

    parts = [
        [function, line - first[function], *rest]
        for function, line, *rest in taken["parts"]
        if own(function)
    ]
    held = taken["held"]
    if held and variant.pitfall and interface == "asgi" and own(held[0]) and held[3] >= HELD_MS:
        held = [held[0], held[1] - first[held[0]], held[2] - first[held[0]], held[3]]
    else:
        held = None
    return {
        "deployment": variant.deployment,
        "hash": source_hash(variant, iter({part[0] for part in parts})),
        "run": [run.machine, run.python, run.date.isoformat()],
        "took": round(took_ms, 3),
        "held": held,
        "parts": parts,
    }


def keep(slug: str, entries: Mapping[str, Any], file: Path = FILE) -> None:
    """Replace the traces of a comparison by these, which `entry_of` has made, by `slug/variant`."""
    kept = {
        key: entry for key, entry in _entries(file).items() if key.partition("/")[0] != slug
    } | dict(entries)
    runs: list[Any] = []
    lines = []
    for key, entry in sorted(kept.items()):
        if entry["run"] not in runs:
            runs.append(entry["run"])
        numbered = entry | {"run": runs.index(entry["run"])}
        lines.append(f"{json.dumps(key)}: {json.dumps(numbered, separators=(',', ':'))}")
    about = ",\n".join(json.dumps(run) for run in runs)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.write_text(f'{{"runs": [\n{about}],\n"traces": {{\n' + ",\n".join(lines) + "}}\n")
    draft.replace(file)


def traces_of(comparison: Comparison, file: Path = FILE) -> dict[str, Trace]:
    """Return the traces of a comparison's variants, by name, without those that are stale.

    A file that is missing, damaged or hostile has none.
    """
    entries, found = _entries(file), {}
    for variant in comparison.variants:
        entry = entries.get(f"{comparison.slug}/{variant.name}")
        try:
            found[variant.name] = _trace(variant, entry)
        except (TypeError, ValueError, LookupError, AttributeError, OSError, SyntaxError):
            continue
    return found


def _entries(file: Path) -> dict[str, Any]:
    """Return what the file has by `slug/variant`, each with its run; nothing if it is damaged."""
    try:
        status = file.stat()
        return dict(_read(file, status.st_mtime_ns, status.st_size))
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return {}


@lru_cache(maxsize=4)
def _read(file: Path, _changed: int, size: int) -> dict[str, Any]:
    if size > MAX_BYTES:
        raise ValueError(f"{file} has {size} bytes")
    content = json.loads(file.read_text())
    runs = content["runs"]
    return {
        key: entry | {"run": runs[entry["run"]]}
        for key, entry in content["traces"].items()
        if isinstance(entry, dict) and entry.get("run") in range(len(runs))
    }


def _trace(variant: Variant, entry: Any) -> Trace:
    """Read an entry. ValueError and others if it is stale, or is none."""
    parts, held = entry["parts"], entry["held"]
    source = source_of(variant)
    if len(parts) > MAX_PARTS:
        raise ValueError("too many parts")
    expected = source_hash(variant, iter({part[0] for part in parts}))
    if entry["hash"] != expected or entry["deployment"] != variant.deployment:
        raise ValueError("stale")
    machine, python, day = map(_text, entry["run"])
    shown = [_part(source, *part) for part in parts]
    return Trace(
        variant=variant.name,
        view=name_of(variant),
        deployment=variant.deployment,
        run=Run(machine, python, date.fromisoformat(day)),
        took_ms=_time(entry["took"]),
        parts=tuple(sorted(shown, key=lambda part: (source.first[part.function], part.line))),
        held_loop=_held(source, *held) if held else None,
        source_hash=expected,
    )


def _part(
    source: Source,
    function: str,
    offset: int,
    what: str,
    where: str,
    threads: int,
    held: float,
    awaited: float,
    times: int,
) -> Part:
    line = source.first[function] + _count(offset)
    if where not in places():
        raise ValueError(f"no such place: {where!r}")
    return Part(
        function=function,
        line=line,
        source=source.statement(line),
        what=_text(what),
        where=where,
        threads=_count(threads),
        held_ms=_time(held),
        awaited_ms=_time(awaited),
        times=_count(times),
    )


def _held(source: Source, function: str, first: int, last: int, took: float) -> Held:
    line = source.first[function] + _count(first)
    return Held(line, source.first[function] + _count(last), source.statement(line), _time(took))


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError("no text")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 10**9:
        raise ValueError("no count")
    return value


def _time(value: Any) -> float:
    if type(value) not in (int, float) or not (math.isfinite(value) and 0 <= value < 10**9):
        raise ValueError("no time")
    return float(value)
