"""What the requests of a server are made of, from `begin` to `end`, which returns it.

For each request: how long it took, its queries and the connections it held. For some: their changes
of thread and who makes them, where they ask for queries, and by looking every few ms at which lines
their threads are and where their tasks wait. And what holds the event loop (loop.py).

Into how many it looks is a matter of its budget: the first FIRST in any case, and from then on as
many as take BUDGET of the time, each of them wholly. What is seen is given by the number of those.
Of all others nothing runs but a few function calls, and outside begin and end fewer.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import functools
import inspect
import os
import sys
import sysconfig
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

from .loop import Found, Hold, LoopWatch, Place, ThreadClock, found_in

THREADS_S, TASKS_S = 0.01, 0.02  # between two looks, at least
BUDGET = 0.005  # of the time, for requests that are looked into
FIRST = 20  # requests, as many as `advise` sends one after another
# Times what a look takes by the clock: the frames that it has made are freed later, and threads
# hand the GIL over. Measured as CPU time of requests that are all looked into.
WHOLE = 4
# Looks into requests that were chosen take no more of their time than this.
PACE = 0.05
TOO_FEW = 0.2  # of the requests: what is seen in fewer is no habit of the view's

FOLDER = os.getcwd() + os.sep
STDLIB = sysconfig.get_paths()["stdlib"] + os.sep
# What is always there, and says nothing of this request.
COMMON = {
    *("django", "asgiref", "uvicorn", "gunicorn", "granian", "gevent", "daphne", "hypercorn"),
    *("uvloop", "click", "h11", "httptools", "anyio", "starlette"),
}


class Request:
    """One request, while it runs. of: where what is seen of it is noted, if it is looked into."""

    __slots__ = ("began", "connections", "ident", "number", "of", "tasks")

    def __init__(self, of: Window, ident: int | None) -> None:
        self.ident = ident  # of its thread, under WSGI
        self.connections: dict[int, float] = {}  # since when each is in use
        self.began = time.monotonic()
        self.of = of if of.chooses(self.began) else None
        if self.of:
            self.number = of.looked_into
            self.tasks: set[Any] = set()  # its own, and under ASGI those that they begin


class Line:
    """What was seen at a line, summed up over all requests."""

    def __init__(self) -> None:
        self.calls = ""
        self.ms = self.cpu_ms = self.longest_ms = self.others = 0.0
        self.times = 0
        self.requests: set[int] = set()


class Window:
    """All that is seen between begin and end."""

    def __init__(self) -> None:
        self.cpu, self.began = time.process_time(), time.monotonic()
        self.running: set[Request] = set()
        # Of each request that has ended. Numbers and no objects: many of those make the garbage
        # collector dear.
        self.wall_ms: list[float] = []
        self.held_ms: list[float] = []
        self.connections = 0  # of one request, at most
        self.queries: list[float] = []  # ms
        self.hops: dict[tuple[str, str, str], int] = defaultdict(int)
        self.lines: dict[tuple[str, Place], Line] = defaultdict(Line)
        self.threads: dict[int, tuple[Request, ThreadClock]] = {}
        self.view: dict[str, Any] = {}
        # Classes and functions, by what they are called: where they are written is looked up at the
        # end. Reading a source takes ms, which would be the requests'.
        self.named: dict[str, Any] = {}
        self.looks = False  # or it only counts and times, which costs next to nothing
        self.looked_into = 0  # requests
        self.looking_s = 0.0
        self.watch: LoopWatch | None = None
        self.task_factory: Any = None  # what the loop had
        self.over = threading.Event()
        self.looked_at_tasks = self.began
        self.threads_again = self.tasks_again = 0.0  # not to be looked at before

    def chooses(self, now: float) -> bool:
        """Choose whether to look into a request, and if so count it."""
        if not self.looks:
            return False
        if self.looked_into >= FIRST and self.looking_s > BUDGET * (now - self.began):
            return False
        self.looked_into += 1
        return True

    def looked(self, since: float) -> float:
        """Return when there may be another look like this."""
        now = time.monotonic()
        cost_s = WHOLE * (now - since)
        self.looking_s += cost_s
        return now + cost_s / PACE

    def add(
        self, kind: str, found: Found | None, ms: float, cpu_ms: float, request: Request
    ) -> None:
        if found is None:
            return
        line = self.lines[kind, found.place]
        line.calls = found.calls
        line.ms += ms
        line.cpu_ms += cpu_ms
        line.longest_ms = max(line.longest_ms, ms)
        line.times += 1
        line.requests.add(request.number)


window: Window | None = None
current: contextvars.ContextVar[Request | None] = contextvars.ContextVar("advised", default=None)
_own = threading.local()  # clock: of this thread; its end closes it
# The line that asked for what now runs in a thread of its own.
asked_at: contextvars.ContextVar[Found | None] = contextvars.ContextVar("asked_at", default=None)


@functools.cache
def rank(file: str) -> int:
    """How near a file is to the reader: 2 is the project's, 1 what it has installed, 0 all else."""
    packages = ("site-packages" + os.sep, "dist-packages" + os.sep)
    for folder in packages:
        if folder in file:
            return 0 if file.partition(folder)[2].split(os.sep)[0] in COMMON else 1
    if file.startswith(FOLDER):
        return 2
    return 0 if file.startswith((STDLIB, "<", os.path.dirname(__file__))) else 1


# --- Begin and end


def begin() -> dict[str, Any]:
    """Count, and look too: what that costs is in the CPU time of the process."""
    count()
    of = window
    assert of
    of.looks = True
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        threading.Thread(target=_look_on, args=[of], daemon=True).start()
        return {}
    of.task_factory = loop.get_task_factory()
    loop.set_task_factory(functools.partial(_task, of.task_factory))
    of.watch = LoopWatch(
        loop,
        rank,
        at_beat=functools.partial(_look_at_tasks, of),
        at_look=functools.partial(_look_at_threads, of),
        under_way=lambda: len(of.running),
    )
    of.watch.start()
    return {}


def count() -> dict[str, Any]:
    """Count and time requests and queries, without looking at anything."""
    global window
    end()
    window = Window()
    return {}


def running() -> dict[str, Any]:
    """How many requests have not ended: an answer is sent before the last that is done for it."""
    return {"running": len(_running())}


def end() -> dict[str, Any]:
    global window
    seen, window = window, None
    if seen is None:
        return {}
    seen.over.set()
    holds = seen.watch.stop() if seen.watch else []
    if seen.watch:
        asyncio.get_running_loop().set_task_factory(seen.task_factory)
    count, looked_into = max(1, len(seen.wall_ms)), max(1, seen.looked_into)
    holds = [hold for hold in holds if hold.times >= TOO_FEW * count]
    watched = {("holds", hold.place) for hold in holds}  # and so the queries in them
    return {
        "requests": len(seen.wall_ms),
        "wall_ms": seen.wall_ms,
        "cpu_ms": 1000 * (time.process_time() - seen.cpu) / count,
        "queries": len(seen.queries) / count,
        "query_ms": sum(seen.queries) / count,
        "connections": seen.connections,
        "held_ms": sum(seen.held_ms) / count,
        "hops": [
            {
                "by": by,
                "place": place or _place_of(seen.named.get(by)),
                "to": to,
                "times": times / looked_into,
            }
            for (by, place, to), times in seen.hops.items()
        ],
        "lines": [
            *(_hold(hold, count) for hold in holds),
            *(
                _line(kind, place, line, looked_into)
                for (kind, place), line in seen.lines.items()
                if len(line.requests) >= TOO_FEW * looked_into and (kind, place) not in watched
            ),
        ],
        "view": {**seen.view, "place": _place_of(seen.named["view"])} if seen.view else {},
    }


def _hold(hold: Hold, count: int) -> dict[str, Any]:
    return {
        "kind": "holds",
        "place": shown(hold.place),
        "code": hold.place.code,
        "calls": hold.calls,
        "ms": hold.ms / count,
        "cpu_ms": hold.cpu_ms / count,
        "times": hold.times / count,
        "longest_ms": hold.longest_ms,
        "others": hold.others / max(1, hold.times),
    }


def _line(kind: str, place: Place, line: Line, count: int) -> dict[str, Any]:
    return {
        "kind": kind,
        "place": shown(place),
        "code": place.code,
        "calls": line.calls,
        "ms": line.ms / count,
        "cpu_ms": line.cpu_ms / count,
        "times": line.times / count,
        "longest_ms": line.longest_ms,
        "others": line.others,
    }


def shown(place: Place) -> str:
    """Return `shop/views.py:31`: from the project's folder on, or from the package."""
    file = place.file
    if file.startswith(FOLDER) and "site-packages" not in file:
        file = file[len(FOLDER) :]
    for folder in ("site-packages", "dist-packages"):
        file = file.rpartition(folder + os.sep)[2]
    return f"{file}:{place.line}"


def _running() -> set[Request]:
    return window.running if window else set()


# --- The requests


def seen_wsgi(app: Any, environ: Any, start_response: Any) -> Iterable[bytes]:
    if window is None:
        answer: Iterable[bytes] = app(environ, start_response)
        return answer
    request = Request(window, threading.get_ident())
    token = current.set(request)
    _begins(window, request)
    try:
        body = app(environ, start_response)
    except BaseException:
        current.reset(token)
        _ends(window, request)
        raise
    return _to_its_end(body, request, window)


def _to_its_end(body: Any, request: Request, of: Window) -> Iterator[bytes]:
    try:
        yield from body
    finally:
        if hasattr(body, "close"):
            body.close()
        current.set(None)
        _ends(of, request)


async def seen_asgi(app: Any, scope: Any, receive: Any, send: Any) -> None:
    if window is None:
        await app(scope, receive, send)
        return
    of, request = window, Request(window, None)
    if request.of:
        request.tasks.add(asyncio.current_task())
    current.set(request)  # the task is the request's own
    _begins(of, request)
    try:
        await app(scope, receive, send)
    finally:
        current.set(None)
        _ends(of, request)


def _begins(of: Window, request: Request) -> None:
    of.running.add(request)
    if request.of and request.ident is not None:
        _enters_thread(of, request)


def _ends(of: Window, request: Request) -> None:
    now = time.monotonic()
    of.wall_ms.append(1000 * (now - request.began))
    if request.connections:
        of.held_ms.append(1000 * (now - min(request.connections.values())))
        of.connections = max(of.connections, len(request.connections))
    of.running.discard(request)
    if request.of and request.ident is not None:
        of.threads.pop(request.ident, None)


# --- Looking


def _look_on(of: Window) -> None:
    while not of.over.wait(THREADS_S):
        _look_at_threads(of)
        _look_at_tasks(of)


def _look_at_threads(of: Window) -> None:
    began = time.monotonic()
    if not of.threads or began < of.threads_again:
        return
    frames = sys._current_frames()
    for ident, (request, clock) in list(of.threads.items()):
        found = found_in(frames.get(ident), rank)
        of.add("thread", found, *clock.lap(), request)
    of.threads_again = of.looked(began)


def _look_at_tasks(of: Window) -> None:
    """Look where the requests' tasks wait: on their loop, at its beats, or from a thread (WSGI)."""
    now = time.monotonic()
    since = now - of.looked_at_tasks
    if since < TASKS_S or now < of.tasks_again:
        return
    of.looked_at_tasks = now
    for request in [request for request in list(of.running) if request.of]:
        waited = 1000 * min(since, now - request.began)
        # Under WSGI a thread waits with it.
        kind = "awaits" if request.ident is None else "thread"
        for task in list(request.tasks):
            of.add(kind, _where_it_waits(task), waited, 0, request)
    of.tasks_again = of.looked(now)


def _task(before: Any, loop: Any, coro: Any, **options: Any) -> Any:
    """Make a task, and note whose request it belongs to (only from 3.12 on its context says it)."""
    task = before(loop, coro, **options) if before else asyncio.Task(coro, loop=loop, **options)
    if (request := current.get()) is not None and request.of:
        request.tasks.add(task)
        task.add_done_callback(request.tasks.discard)
    return task


def _where_it_waits(task: Any) -> Found | None:
    """Follow what the task awaits, to the innermost line that is near to the reader."""
    awaited: Any = task.get_coro()
    place: FrameType | None = None
    inner: FrameType | None = None
    best = 0
    while (names := _attributes(awaited.__class__)) and (frame := getattr(awaited, names[0])):
        if getattr(awaited, names[1]):  # in another thread
            return None
        near, inner = rank(frame.f_code.co_filename), frame
        if near and near >= best:
            place, best = frame, near
        awaited = getattr(awaited, names[2])
    if place is None or inner is None:
        return None
    at = Place(place.f_code.co_filename, place.f_lineno or 0)
    code = inner.f_code
    calls = "" if inner is place else getattr(code, "co_qualname", code.co_name)
    return Found(0, at, at, calls)


@functools.cache
def _attributes(kind: Any) -> tuple[str, str, str] | None:
    """Return what its frame, whether it runs, and what it awaits are called; None: it has none."""
    for own, awaited in (("cr", "await"), ("gi", "yieldfrom"), ("ag", "await")):
        if hasattr(kind, f"{own}_frame"):
            return f"{own}_frame", f"{own}_running", f"{own}_{awaited}"
    return None


# --- What Django and asgiref are asked for


def install() -> None:
    """Put the probes into Django and asgiref, once, before the application is made."""
    from asgiref.sync import AsyncToSync, SyncToAsync
    from django.core.handlers.base import BaseHandler
    from django.db.backends.signals import connection_created

    connection_created.connect(_watch_connection, weak=False)
    _replace(SyncToAsync, "__call__", _to_thread)
    _replace(AsyncToSync, "__call__", _to_loop)
    _replace(BaseHandler, "resolve_request", _resolved)


def _replace(kind: Any, name: str, probe: Callable[[Any], Any]) -> None:
    original = getattr(kind, name)
    setattr(kind, name, functools.wraps(original)(probe(original)))


def _watch_connection(connection: Any, **_: Any) -> None:
    if _time_query not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, _time_query)


def _time_query(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
    request, of = current.get(), window
    if request is None or of is None:
        return execute(sql, params, many, context)
    began = time.monotonic()
    request.connections.setdefault(id(context["connection"]), began)
    try:
        return execute(sql, params, many, context)
    finally:
        ms = 1000 * (time.monotonic() - began)
        of.queries.append(ms)
        if request.of:
            _note_query(of, request, ms)


def _note_query(of: Window, request: Request, ms: float) -> None:
    began = time.monotonic()
    found = found_in(sys._getframe(2), rank)
    if found is None or rank(found.place.file) < 2:
        found = asked_at.get() or found
    of.add("query", found, ms, 0, request)
    if of.watch and of.watch.is_on_loop():
        of.add("holds", found, ms, 0, request)
    of.looked(began)


def _to_thread(original: Any) -> Any:
    def call(hop: Any, *args: Any, **kwargs: Any) -> Any:
        request = current.get()
        if request is None or not (of := request.of):
            return original(hop, *args, **kwargs)
        began = time.monotonic()
        found = found_in(sys._getframe(1), rank)
        of.hops[(*_whose(of, hop.func, found), "thread")] += 1
        twin = copy.copy(hop)  # of its own class: channels' closes connections
        twin.func = _in_thread(hop.func, request, of, found)
        of.looked(began)
        return original(twin, *args, **kwargs)

    return call


def _in_thread(func: Any, request: Request, of: Window, found: Found | None) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        if found is not None and rank(found.place.file) == 2:
            asked_at.set(found)
        before = _enters_thread(of, request)
        try:
            return func(*args, **kwargs)
        finally:
            _leaves_thread(of, before)

    return call


def _enters_thread(of: Window, request: Request) -> tuple[Request, ThreadClock] | None:
    """Look at this thread for the request, and return for whom and by what it was looked at."""
    began = time.monotonic()
    try:
        clock: ThreadClock = _own.clock
        clock.lap()
    except AttributeError:
        clock = _own.clock = ThreadClock()
    before = of.threads.get(clock.ident)
    of.threads[clock.ident] = request, clock
    of.looked(began)
    return before


def _leaves_thread(of: Window, before: tuple[Request, ThreadClock] | None) -> None:
    ident = threading.get_ident()
    if before:
        of.threads[ident] = before
    else:
        of.threads.pop(ident, None)


def _to_loop(original: Any) -> Any:
    def call(hop: Any, *args: Any, **kwargs: Any) -> Any:
        request = current.get()
        if request is None or not (of := request.of):
            return original(hop, *args, **kwargs)
        began = time.monotonic()
        found = found_in(sys._getframe(1), rank)
        of.hops[(*_whose(of, hop.awaitable, found), "loop")] += 1
        if request.ident is None:  # ASGI: on the loop that is watched
            of.looked(began)
            return original(hop, *args, **kwargs)
        twin = copy.copy(hop)
        twin.awaitable = _on_own_loop(hop.awaitable, request, of)
        of.looked(began)
        return original(twin, *args, **kwargs)

    return call


def _on_own_loop(awaitable: Any, request: Request, of: Window) -> Any:
    """Under WSGI: a loop that this request alone has, in a thread of its own."""

    async def call(*args: Any, **kwargs: Any) -> Any:
        task = asyncio.current_task()
        request.tasks.add(task)
        before = _enters_thread(of, request)
        try:
            return await awaitable(*args, **kwargs)
        finally:
            _leaves_thread(of, before)
            request.tasks.discard(task)

    return call


def _whose(of: Window, func: Any, found: Found | None) -> tuple[str, str]:
    """Say who asks for a hop: a middleware, the view, a line, which is the place, or Django."""
    while isinstance(func, functools.partial):
        func = func.func
    owner = getattr(func, "__self__", None)  # never asked for its truth: it may be a queryset
    if owner is None:
        owner = getattr(func, "__wrapped__", None)
    name = f"{getattr(func, '__module__', '')}.{getattr(func, '__qualname__', type(func).__name__)}"
    if owner is not None and _is_middleware(type(owner)):
        of.named[_dotted(type(owner))] = type(owner)
        return _dotted(type(owner)), ""
    if of.view.get("name") == _dotted(func):
        return "view", ""
    if found is not None and rank(found.place.file) == 2:
        return name, shown(found.place)
    if "Signal." in name:
        return "signals", ""
    return name, ""


def _is_middleware(kind: type) -> bool:
    from django.conf import settings

    return _dotted(kind) in settings.MIDDLEWARE


def _resolved(original: Any) -> Any:
    def resolve(handler: Any, request: Any) -> Any:
        match = original(handler, request)
        of = window
        if of is not None and not of.view:
            of.named["view"] = view = getattr(match.func, "view_class", None) or inspect.unwrap(
                match.func
            )
            of.view = {"name": _dotted(view), "is_async": bool(_is_async(match.func))}
        return match

    return resolve


def _is_async(view: Any) -> bool:
    from asgiref.sync import iscoroutinefunction

    return iscoroutinefunction(view)


def _dotted(thing: Any) -> str:
    name = getattr(thing, "__qualname__", None) or type(thing).__qualname__
    return f"{getattr(thing, '__module__', '')}.{name}"


def _place_of(thing: Any) -> str:
    try:
        file, line = inspect.getsourcefile(thing), inspect.getsourcelines(thing)[1]
    except (OSError, TypeError):
        return ""
    return shown(Place(file or "", line))
