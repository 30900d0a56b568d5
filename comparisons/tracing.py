"""Notes on a real request which lines of a module run where, and how long they hold it or wait.

`sys.settrace` would slow down all that a traced thread calls: a view that computes for 20 ms would
seem to hold the loop for 200. So the module itself says where it is. It is changed when it is
imported: each statement of a function first says its line (`Recorder.at`), and what drives a
function, coroutine or generator notes when it starts, is suspended, goes on and ends. Everything
else runs as it is, and with no tracing of Python's.

    recorder = record("comparisons.pairs.blocking_call")  # before anything imports it
    ...                                                   # a request
    recorder.taken()

The same on every Python. Functions that call themselves stay as they are: their lines are many.
"""

import ast
import asyncio
import inspect
import os
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial, wraps
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from subprocess import Popen
from time import perf_counter_ns
from types import CodeType, ModuleType, coroutine
from typing import Any

from asgiref.current_thread_executor import CurrentThreadExecutor
from asgiref.sync import SyncToAsync

AT, BACK, TRACED = "__at__", "__back__", "__traced__"  # what a changed module calls


# --- The module, changed

# Statements whose own line does next to nothing.
SILENT = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Try, ast.TryStar)


class Changed:
    """A module's tree with what it says of itself, and where its statements are.

    statement: the first line of the statement that a line belongs to. loop: the first and the last
    line of the outermost loop around a statement.
    """

    def __init__(self, source: str) -> None:
        self.statement: dict[int, int] = {}
        self.loop: dict[int, tuple[int, int]] = {}
        self.tree = ast.parse(source)
        for node in self.tree.body:
            self._definition(node)
        ast.fix_missing_locations(self.tree)

    def _definition(self, node: ast.stmt) -> None:
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                self._definition(inner)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not _calls_itself(node):
            has_docstring = ast.get_docstring(node, clean=False) is not None
            docstring, body = node.body[:has_docstring], node.body[has_docstring:]
            node.body = [*docstring, *self._block(body, None)]
            node.decorator_list.append(ast.copy_location(ast.Name(TRACED, ast.Load()), node))

    def _block(
        self, statements: Sequence[ast.stmt], loop: tuple[int, int] | None
    ) -> list[ast.stmt]:
        said: list[ast.stmt] = []
        for node in statements:
            said += [node] if isinstance(node, SILENT) else [_call(AT, node), node]
            inner = _blocks_of(node)
            end = inner[0][1][0].lineno - 1 if inner else node.end_lineno or node.lineno
            header = range(node.lineno, max(end, node.lineno) + 1)
            self.statement |= dict.fromkeys(header, node.lineno)
            around = loop
            if isinstance(node, ast.For | ast.AsyncFor | ast.While):
                around = loop or (node.lineno, node.end_lineno or node.lineno)
            if around:
                self.loop[node.lineno] = around
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self._definition(node)
                continue
            for owner, block, name in inner:
                setattr(owner, name, self._block(block, around))
            self._header_again(node)
        return said

    @staticmethod
    def _header_again(node: ast.stmt) -> None:
        """A loop's header runs again after its body, and that of a `with` when it is left."""
        match node:
            case ast.For() | ast.AsyncFor() | ast.While():
                node.body.append(_call(BACK, node))
            case ast.With() | ast.AsyncWith():
                node.body = [ast.Try(node.body, [], [], [_call(BACK, node)])]
                ast.copy_location(node.body[0], node)


def _blocks_of(node: ast.stmt) -> list[tuple[Any, list[ast.stmt], str]]:
    """Return a statement's blocks, as (owner, block, the owner's name for it), in their order."""
    owners = [node, *getattr(node, "handlers", []), *getattr(node, "cases", [])]
    found = [
        (owner, block, name)
        for owner in owners
        for name in ("body", "orelse", "finalbody")
        if (block := getattr(owner, name, None))
    ]
    return sorted(found, key=lambda each: each[1][0].lineno)


def _call(name: str, node: ast.stmt) -> ast.stmt:
    said = ast.Call(ast.Name(name, ast.Load()), [ast.Constant(node.lineno)], [])
    statement = ast.copy_location(ast.Expr(said), node)
    statement.end_lineno, statement.end_col_offset = node.lineno, node.col_offset
    return statement


def _calls_itself(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == function.name
        for node in ast.walk(function)
    )


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, recorder: "Recorder") -> None:
        super().__init__(name, path)
        self._recorder = recorder

    def get_code(self, fullname: str) -> CodeType:  # and no bytecode that is kept
        changed = Changed(self.get_data(self.path).decode())
        self._recorder.changed = changed
        return compile(changed.tree, self.path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        vars(module).update(self._recorder.names())
        super().exec_module(module)


class _Finder(MetaPathFinder):
    def __init__(self, name: str, recorder: "Recorder") -> None:
        self._name, self._recorder = name, recorder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        found = PathFinder.find_spec(fullname, path) if fullname == self._name else None
        if found and found.origin:
            found.loader = _Loader(fullname, found.origin, self._recorder)
        return found


def record(module: str) -> "Recorder":
    """Return what will have noted what the module does, which nobody has imported yet."""
    recorder = Recorder()
    sys.meta_path.insert(0, _Finder(module, recorder))
    recorder.watch()
    return recorder


# --- Where something runs. comparisons/traces.py has the words for it.

_of_thread = threading.local()  # calls: those that run in it. owner: whose thread it is


def _calls() -> "list[Call]":
    try:
        calls: list[Call] = _of_thread.calls
    except AttributeError:
        calls = _of_thread.calls = []
    return calls


def where(server_loop: Any) -> str:
    """Say where this runs, in a word of `comparisons.traces.places`.

    server_loop: the server's event loop, if it has one.
    """
    loop = asyncio._get_running_loop()
    if loop is not None:
        if loop is server_loop:
            return "loop"
        return "loop-of-request" if server_loop is None else "loop-of-thread"
    owner: str = getattr(_of_thread, "owner", "")
    if owner:
        return owner
    greenlet = sys.modules.get("greenlet")
    if greenlet and greenlet.getcurrent().parent is not None:
        return "greenlet"
    return "thread-of-server"


# --- What is noted


class Cell:
    """A line, as far as it ran in one place; times in ns.

    Since the call went on last: step is the time, of_calls what of it other calls took, said how
    many times it has said that it is here.
    """

    __slots__ = ("awaited", "held", "of_calls", "said", "step", "times")

    def __init__(self) -> None:
        self.held = self.awaited = self.times = self.said = 0
        self.step = self.of_calls = 0


class Call:
    """A function that runs, a coroutine or a generator: from its start to its end."""

    __slots__ = (
        *("function", "line", "recorder", "window", "where", "since", "step_began"),
        *("cell", "cells", "threads", "longest"),
    )

    def __init__(self, function: str, line: int, recorder: "Recorder") -> None:
        self.function, self.line, self.recorder = function, line, recorder
        self.cells: dict[str, dict[int, Cell]] = {}
        self.threads: dict[str, set[int]] = {}
        self.longest: dict[int, int] = {}  # ns by line, of the longest step on an event loop
        self.cell: Cell | None = None
        self.where, self.window, self.since = "", -1, 0

    def goes_on(self, awaited: bool = True) -> None:
        """It starts, or goes on after it was suspended. awaited: by an await, not a yield."""
        recorder, now = self.recorder, perf_counter_ns()
        if self.window != recorder.window:
            self.cells, self.threads, self.longest = {}, {}, {}
            self.since = max(self.since, recorder.began) if self.cell else 0
            self.window = recorder.window
            recorder.calls.append(self)
            if self.cell:
                self._cell(self.line)
        if awaited and self.cell:
            self.cell.awaited += now - self.since
        self.where = where(recorder.server_loop)
        self.threads.setdefault(self.where, set()).add(threading.get_ident())
        if self.cell:
            self._cell(self.line)
        _calls().append(self)
        self.since = self.step_began = perf_counter_ns()

    def _cell(self, line: int) -> Cell:
        cells = self.cells.setdefault(self.where, {})
        self.cell = cells.get(line) or cells.setdefault(line, Cell())
        self.line = line
        return self.cell

    def at(self, line: int, times: int = 1) -> None:
        """It comes to this line; all since it came to the last was that one's."""
        now = perf_counter_ns()
        if self.cell:
            self.cell.step += now - self.since
        cell = self._cell(line)
        cell.times += times
        cell.said += 1
        self.since = now

    def stops(self, line: int | None = None) -> None:
        """It is suspended at the line, or ends."""
        now = perf_counter_ns()
        calls = _calls()
        calls.pop()
        if not self.cell:
            return
        self.cell.step += now - self.since
        cells = self.cells[self.where]
        own = {}
        for number, cell in cells.items():
            step = max(0, cell.step - round(cell.said * self.recorder.cost))
            own[number] = step - cell.of_calls
            cell.held += step
            cell.step = cell.of_calls = cell.said = 0
        if self.where.startswith("loop") and sum(own.values()) > sum(self.longest.values()):
            self.longest = own
        if line is not None:
            changed = self.recorder.changed
            self._cell(changed.statement.get(line, line) if changed else line)
        if calls and (around := calls[-1].cell):
            around.of_calls += now - self.step_began
        self.since = now


class Recorder:
    """What a module did since `began`: see `taken`."""

    def __init__(self) -> None:
        self.changed: Changed | None = None
        self.server_loop: Any = None
        self.calls: list[Call] = []
        self.handed: list[tuple[str, int, str, str, int, int]] = []
        self.open: set[object] = set()  # calls, and what was handed over, that have not ended
        self.window, self.began = 0, perf_counter_ns()
        self.cost = 0.0  # ns that a line takes to say where it is
        self.cost = self._measured_cost()

    def names(self) -> dict[str, Any]:
        """Return what a changed module calls."""
        return {AT: self.at, BACK: self.back, TRACED: partial(traced, self)}

    @staticmethod
    def at(line: int) -> None:
        _of_thread.calls[-1].at(line)

    @staticmethod
    def back(line: int) -> None:
        _of_thread.calls[-1].at(line, 0)

    def _measured_cost(self) -> float:
        """The least of several times: whatever else runs on the machine only adds to it."""
        call, times, found = Call("", 0, self), 200, []
        call.goes_on()
        for _ in range(20):
            began = perf_counter_ns()
            for _ in range(times):
                self.at(1)
            found.append((perf_counter_ns() - began) / times)
        call.stops()
        self.calls.clear()
        return min(found)

    def taken(self) -> dict[str, Any]:
        """Return what was noted since the last time, as JSON has it, and begin anew.

        parts: [function, line, what, where, threads, held, awaited, times] of each line and place,
        and of each function (`what`) that the line has handed over; times in ms. held: [function,
        first line, last line, ms] of what held an event loop longest, in one go.
        """
        calls, handed = self.calls, self.handed
        self.calls, self.handed, self.open = [], [], set()
        self.window += 1
        self.began = perf_counter_ns()
        parts: dict[tuple[str, int, str, str], list[Any]] = {}
        for call in calls:
            for place, cells in call.cells.items():
                for line, cell in cells.items():
                    part = parts.setdefault((call.function, line, "", place), [set(), 0, 0, 0])
                    part[0] |= call.threads.get(place, set())
                    part[1] += cell.held
                    part[2] += cell.awaited
                    part[3] += cell.times
        for function, line, what, place, thread, took in handed:
            part = parts.setdefault((function, line, what, place), [set(), 0, 0, 0])
            part[0].add(thread)
            part[1] += took
            part[3] += 1
        rows = [
            [*key, len(threads), _ms(held), _ms(awaited), times]
            for key, (threads, held, awaited, times) in parts.items()
        ]
        return {"parts": sorted(rows), "held": self._held_longest(calls)}

    def _held_longest(self, calls: Sequence[Call]) -> list[Any] | None:
        """Find the statement, or the outermost loop, that held an event loop longest at a time."""
        found: list[Any] = ["", 0, 0, 0.0]
        for call in calls:
            together: dict[tuple[int, int], int] = {}
            for line, took in call.longest.items():
                loop = self.changed.loop.get(line) if self.changed else None
                key = loop or (line, line)
                together[key] = together.get(key, 0) + took
            for (first, last), took in together.items():
                found = max(found, [call.function, first, last, _ms(took)], key=lambda it: it[3])
        return found if found[3] else None

    # --- What a line hands over

    def watch(self) -> None:
        """Note what is handed to threads and processes, by whichever of these classes."""
        # Replaced on the classes themselves, which mypy forbids: whoever hands over has no hook.
        for kind in (ThreadPoolExecutor, CurrentThreadExecutor, ProcessPoolExecutor):
            kind.submit = self.noting(kind.submit)  # type: ignore[method-assign]
        Popen.__init__ = self._noting_start(Popen.__init__)  # type: ignore[method-assign]

    def _noting_start(self, start: Callable[..., None]) -> Callable[..., None]:
        @wraps(start)
        def noting(process: Any, words: Any, *args: Any, **named: Any) -> None:
            if by := self.handing():
                last = words if isinstance(words, str) else os.fspath(words[-1])
                self.handed.append((*by, Path(last).name, "process-started", 0, 0))
            start(process, words, *args, **named)

        return noting

    def handing(self) -> tuple[str, int] | None:
        """Return the function and the line that hand over now; None if none of the module does."""
        calls = _calls()
        call = calls[-1] if calls else _current.get()
        return (call.function, call.line) if call else None

    def noting(self, submit: Callable[..., Future[Any]]) -> Callable[..., Future[Any]]:
        @wraps(submit)
        def noting(executor: Any, function: Any, /, *args: Any, **named: Any) -> Future[Any]:
            by, what = self.handing(), name_of(function)
            if isinstance(executor, ProcessPoolExecutor):
                future = submit(executor, function, *args, **named)
                if by:
                    note = self.begun(by, what, "process-of-pool")
                    future.add_done_callback(lambda _: note(id(executor)))
                return future
            owner = self._owner(executor, bool(by))
            if by:
                note = self.begun(by, what, owner)
            return submit(
                executor, in_thread, owner, note if by else None, function, *args, **named
            )

        return noting

    def _owner(self, executor: Any, handed: bool) -> str:
        """Say whose a thread is that runs what is handed to this executor."""
        of_requests = (
            *SyncToAsync.context_to_thread_executor.values(),
            SyncToAsync.single_thread_executor,
        )
        if isinstance(executor, CurrentThreadExecutor) or executor in of_requests:
            first_in = vars(executor).setdefault("traced_first_in", self.window)
            return "thread-of-request" if first_in == self.window else "thread-of-requests"
        if getattr(executor, "_thread_name_prefix", "") == "asyncio":
            return "thread-of-loop"
        return "thread-of-executor" if handed else ""  # the server's own

    def begun(self, by: tuple[str, int], what: str, place: str) -> Callable[[int], None]:
        """Something was handed over; call what is returned, with its thread, when it has ended."""
        began, noted, token = perf_counter_ns(), self.handed, object()
        still = self.open
        still.add(token)

        def ended(thread: int, began: int = began) -> None:
            noted.append((*by, what, place, thread, perf_counter_ns() - began))
            still.discard(token)

        return ended


def in_thread(owner: str, note: Any, function: Any, /, *args: Any, **named: Any) -> Any:
    """Call a function that was handed to a thread, and note how long it ran there."""
    before = getattr(_of_thread, "owner", "")
    calls, _of_thread.calls = _calls(), []
    _of_thread.owner = owner
    began = perf_counter_ns()
    try:
        return function(*args, **named)
    finally:
        _of_thread.owner, _of_thread.calls = before, calls
        if note:
            note(threading.get_ident(), began)


def name_of(function: Any) -> str:
    """Return the name of what was handed over, without what asyncio and asgiref put around it."""
    while isinstance(function, partial):
        called = getattr(function.func, "__name__", "")
        if called in ("thread_handler", "run") and function.args:
            function = function.args[-1 if called == "thread_handler" else 0]
        else:
            function = function.func
    name = str(getattr(function, "__qualname__", type(function).__name__))
    name = name.rpartition("<locals>.")[2]
    return "lambda" if name == "<lambda>" else name


# --- What drives a function of the module

_current: ContextVar[Call | None] = ContextVar("current", default=None)


def traced(recorder: Recorder, function: Any) -> Any:
    """Return the function, which notes when it starts, is suspended, goes on and ends."""

    def begun() -> Call:
        call = Call(function.__qualname__, function.__code__.co_firstlineno, recorder)
        recorder.open.add(call)
        return call

    if inspect.iscoroutinefunction(function):
        made = _coroutines
    elif inspect.isasyncgenfunction(function):
        made = _async_generators
    elif inspect.isgeneratorfunction(function):
        made = _generators
    else:
        made = _plain
    return wraps(function)(made(begun, function))


def _plain(begun: Callable[[], Call], function: Any) -> Any:
    def run(*args: Any, **named: Any) -> Any:
        call = begun()
        before = _current.set(call)
        call.goes_on()
        try:
            return function(*args, **named)
        finally:
            call.stops()
            _current.reset(before)
            call.recorder.open.discard(call)

    return run


def _coroutines(begun: Callable[[], Call], function: Any) -> Any:
    async def run(*args: Any, **named: Any) -> Any:
        call, running = begun(), function(*args, **named)
        before = _current.set(call)
        try:
            return await driven(call, running, lambda: running.cr_frame)
        finally:
            _current.reset(before)
            call.recorder.open.discard(call)

    return run


def _generators(begun: Callable[[], Call], function: Any) -> Any:
    def run(*args: Any, **named: Any) -> Any:
        call, running, sent = begun(), function(*args, **named), None
        try:
            while True:
                call.goes_on(awaited=False)
                try:
                    item = running.send(sent)
                except StopIteration as end:
                    return end.value
                finally:
                    call.stops(running.gi_frame and running.gi_frame.f_lineno)
                sent = yield item
        finally:
            call.goes_on(awaited=False)
            running.close()
            call.stops()
            call.recorder.open.discard(call)

    return run


def _async_generators(begun: Callable[[], Call], function: Any) -> Any:
    async def run(*args: Any, **named: Any) -> Any:
        call, running, sent = begun(), function(*args, **named), None
        try:
            while True:
                step = running.asend(sent)
                try:
                    item = await driven(call, step, lambda: running.ag_frame, awaited=False)
                except StopAsyncIteration:
                    return
                sent = yield item
        finally:
            await driven(call, running.aclose(), lambda: running.ag_frame, awaited=False)
            call.recorder.open.discard(call)

    return run


@coroutine
def driven(
    call: Call, running: Any, frame: Callable[[], Any], *, awaited: bool = True
) -> Generator[Any, Any, Any]:
    """Await a coroutine, or a step of an async generator, and note each time that it is suspended.

    awaited: whether its first step ends a suspension, too.
    """
    step, value = running.send, None
    while True:
        call.goes_on(awaited)
        awaited = True
        try:
            waits_for = step(value)
        except StopIteration as end:
            return end.value
        finally:
            call.stops(frame() and frame().f_lineno)
        try:
            value = yield waits_for
            step = running.send
        except GeneratorExit:
            running.close()
            raise
        except BaseException as error:
            step, value = running.throw, error


def _ms(ns: float) -> float:
    return round(ns / 1_000_000, 3)
