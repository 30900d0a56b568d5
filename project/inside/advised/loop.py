"""What holds an event loop: the lines at which nothing else runs on it, found by looking.

A thread posts a beat to the loop. While the beat is not run the loop is held, and the thread looks
at the stack of the loop's thread. Each look has the time since the last one, however late it comes:
a C extension that keeps the GIL lets no thread look before it returns, but then the interpreter
hands the GIL over right after the call, and the stack still stands at its line: this thread has
to look before it does anything else.

Why not what exists: blockbuster (1.5) patches the functions that it knows, for asyncio; aiocop
(1.1) names the line of what raises an audit event, and of computing or C code only how long the
callback took, as asyncio's debug mode does; py-spy needs the right to trace processes, which
containers seldom give. This sees calls however deep, computing and any C code, under asyncio and
uvloop alike.

Needs nothing but Python 3.10. It runs in other people's servers, and in ours.
"""

from __future__ import annotations

import asyncio
import linecache
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

PAUSE_S = 0.008  # between two beats; what is shorter is hardly seen
LOOK_S = 0.002  # between two looks while the loop is held
LATE_S = 0.001  # by more, and something has kept the watch: only then it looks and reads clocks
BUDGET = 0.01  # of the time: looking takes no more, or it comes less often
# Twice the interval after which a thread gives up the GIL: by less, the threads of a process hold
# each other up in any case.
NOTABLE_MS = 10

GOOD_PART = 0.25  # of a stretch

try:
    import ctypes

    LIBC: Any = ctypes.PyDLL(None)  # calls of which keep the GIL
    LIBC.pread.argtypes = ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long
except (ImportError, OSError, AttributeError):  # a Python or a system without it
    LIBC = None

# How near a file is to the reader: 2 the own code, 1 what it has installed, 0 all else.
Rank = Callable[[str], int]


@dataclass(frozen=True)
class Place:
    """A line. file: as its frame has it."""

    file: str
    line: int

    @property
    def code(self) -> str:
        return linecache.getline(self.file, self.line).strip()


@dataclass
class Hold:
    """A line that held the loop: ms, and how many others waited, summed up over all its times.

    calls: the function that was at work in the end, for the most part; "" where that is the line's.
    """

    place: Place
    calls: str = ""
    ms: float = 0
    cpu_ms: float = 0
    times: int = 0
    longest_ms: float = 0
    others: int = 0


class LoopWatch:
    """Watches a running loop, from `start`, which is called on it, until `stop`.

    at_beat: is called on the loop at each beat; at_look: in the thread, after each look (one more
    thread that looks would come between this one and the GIL). under_way: how many requests there
    are, of which all but one wait while the loop is held. outermost: of the lines that are nearest
    to the reader, name the one that has called the others. pause_s: between two beats, and budget:
    of the CPU time of its own thread, by which the pauses become longer.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        rank: Rank,
        at_beat: Callable[[], None] = lambda: None,
        at_look: Callable[[], None] = lambda: None,
        under_way: Callable[[], int] = lambda: 1,
        outermost: bool = False,
        pause_s: float = PAUSE_S,
        budget: float = BUDGET,
    ) -> None:
        self._loop, self._rank = loop, rank
        self._at_beat, self._at_look, self._under_way = at_beat, at_look, under_way
        self._outermost, self._pause_s, self._budget = outermost, pause_s, budget
        self._used_s = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="advised-loop", daemon=True)
        self._holds: dict[Place, Hold] = {}

    def start(self) -> None:
        self._clock = ThreadClock()
        self._thread.start()

    def stop(self) -> list[Hold]:
        """End it, and return what held the loop for NOTABLE_MS at a time, the longest first."""
        self._ended.set()
        self._thread.join()
        return sorted(self._holds.values(), key=lambda hold: -hold.ms)

    def is_on_loop(self) -> bool:
        """Tell whether it is the loop's thread that asks."""
        return threading.get_ident() == self._clock.ident

    def _watch(self) -> None:
        own = ThreadClock()
        while True:
            pause_s = self._paced(self._pause_s)
            since = time.monotonic()
            own.lap()
            self._clock.lap()
            if self._ended.wait(pause_s):
                return
            stretch = Stretch(None)
            if time.monotonic() - since > pause_s + LATE_S:
                # Before anything else: what gives the GIL away lets the loop go on from there.
                found = self._look()
                late_ms, (ms, cpu_ms) = own.lap()[0] - 1000 * pause_s, self._clock.lap()
                stretch = self._begun(found, min(late_ms, ms), cpu_ms)
            else:
                self._clock.lap()
            self._at_look()
            posted = time.monotonic()
            beat = Beat()
            try:
                self._loop.call_soon_threadsafe(self._run, beat)
            except RuntimeError:  # it is closed
                return
            # Posting may have given the GIL away, as asyncio's does.
            is_late = time.monotonic() - posted > LATE_S
            self._look_until(beat, stretch, 0 if is_late else LOOK_S)

    def _paced(self, pause_s: float) -> float:
        """Return a pause, long enough for what this thread has done since the last one."""
        before, self._used_s = self._used_s, time.thread_time()
        return max(pause_s, (self._used_s - before) / self._budget)

    def _run(self, beat: Beat) -> None:
        beat.at = time.monotonic()
        beat.ran.set()
        self._at_beat()

    def _look(self) -> Found | None:
        frame = sys._current_frames().get(self._clock.ident)
        return found_in(frame, self._rank, self._outermost)

    def _begun(self, found: Found | None, late_ms: float, cpu_ms: float) -> Stretch:
        """Begin with the call that this thread finds, and that has kept it from coming in time."""
        late_ms = max(0.0, late_ms)
        stretch = Stretch(found.call if found else None)
        stretch.add(found, late_ms, min(cpu_ms, late_ms), self._under_way() - 1)
        return stretch

    def _look_until(self, beat: Beat, stretch: Stretch, pause: float) -> None:
        """Look at the loop's thread, stretch by stretch: a stretch is one call of own code."""
        while not self._ended.is_set():
            ran = beat.ran.wait(pause)
            # What came after the beat may have kept this thread from seeing that it ran.
            after_s = time.monotonic() - beat.at if ran else 0.0
            if ran and after_s < LATE_S and stretch.call is None:
                return  # nothing has held the loop
            found = self._look()
            ms, cpu_ms = self._clock.lap()
            if ran:
                after_ms = min(ms, 1000 * after_s)
                stretch.add(None, ms - after_ms, max(0.0, cpu_ms - after_ms))
                self._note(stretch)
                self._note(self._begun(found, after_ms, cpu_ms))
                return
            if found is None or found.call != stretch.call:
                self._note(stretch)
                stretch = Stretch(found.call if found else None)
            stretch.add(found, ms, cpu_ms, self._under_way() - 1)
            self._at_look()
            pause = self._paced(LOOK_S)

    def _note(self, stretch: Stretch) -> None:
        if stretch.call is None or stretch.ms < NOTABLE_MS:
            return
        for found, ms, cpu_ms in stretch.lines():
            hold = self._holds.setdefault(found.place, Hold(found.place))
            hold.calls = found.calls
            hold.ms += ms
            hold.cpu_ms += cpu_ms
            hold.times += 1
            hold.others += stretch.others
            hold.longest_ms = max(hold.longest_ms, ms)


class Beat:
    """What is posted to the loop. at: when it was run."""

    def __init__(self) -> None:
        self.ran = threading.Event()
        self.at = 0.0


class ThreadClock:
    """How long a thread computed, or was blocked: without what it waited for a CPU (on Linux).

    It is made in that thread, and read by any: of one that has ended, it stands still. Its file is
    read with the GIL kept, or the loop would go on meanwhile: whoever gives it away beside a thread
    that computes has it back 5 ms later at the earliest.
    """

    def __init__(self) -> None:
        self.ident = threading.get_ident()
        self._file = -1
        self._cpu_clock: int | None = None
        if sys.platform == "linux":
            native_id = threading.get_native_id()
            # As the kernel numbers them. Of a thread that has ended `pthread_getcpuclockid` reads
            # freed memory; this is an error.
            self._cpu_clock = (~native_id << 3) | 6
            if LIBC is not None:
                path = f"/proc/self/task/{native_id}/schedstat".encode()
                self._file = LIBC.open(path, os.O_RDONLY | os.O_CLOEXEC)
                self._content = ctypes.create_string_buffer(64)
        self._before = self._read()

    def __del__(self) -> None:
        if self._file >= 0:
            os.close(self._file)

    def lap(self) -> tuple[float, float]:
        """Return the ms since the last lap, less those in the run queue, and the CPU ms in them."""
        before, self._before = self._before, self._read()
        wall, cpu, queued = (now - then for now, then in zip(self._before, before, strict=True))
        return 1000 * max(0.0, wall - queued), 1000 * cpu

    def _read(self) -> tuple[float, float, float]:
        cpu = queued = 0.0
        with suppress(OSError):  # the thread has ended
            if self._cpu_clock is not None:
                cpu = time.clock_gettime(self._cpu_clock)
        if self._file >= 0 and LIBC.pread(self._file, self._content, 63, 0) > 0:
            queued = int(self._content.value.split()[1]) / 1e9
        return time.monotonic(), cpu, queued


@dataclass(frozen=True)
class Found:
    """What a stack says. call: of which call of the reader's code it is, and from where it came.

    place: the innermost of the lines that are nearest to the reader; from_: the outermost of them.
    """

    call: int
    from_: Place
    place: Place
    calls: str


@dataclass
class Stretch:
    """Looks at one call, without a beat in between."""

    call: int | None
    ms: float = 0
    cpu_ms: float = 0
    others: int = 0
    last: Found | None = None

    def __post_init__(self) -> None:
        self._by_place: dict[Place, tuple[Found, float, float]] = {}
        self._by_call: dict[tuple[Place, str], float] = {}

    def add(self, found: Found | None, ms: float, cpu_ms: float, others: int = 0) -> None:
        """found: None is what was at work before, to its end."""
        found = self.last = found or self.last
        if found is None:
            return
        self.ms += ms
        self.others = max(self.others, others)
        mostly, before, cpu_before = self._by_place.get(found.place, (found, 0.0, 0.0))
        by_call = self._by_call
        mine = by_call[found.place, found.calls] = by_call.get((found.place, found.calls), 0.0) + ms
        mostly = found if mine >= by_call[mostly.place, mostly.calls] else mostly
        self._by_place[found.place] = mostly, before + ms, cpu_before + cpu_ms

    def lines(self) -> list[tuple[Found, float, float]]:
        """Those that took a good part of it; where none did, the one that has called them all."""
        long = [one for one in self._by_place.values() if one[1] >= GOOD_PART * self.ms]
        if long or self.last is None:
            return long
        whole = Found(self.last.call, self.last.from_, self.last.from_, self.last.calls)
        return [(whole, self.ms, self.cpu_ms)]


def found_in(frame: FrameType | None, rank: Rank, outermost: bool = False) -> Found | None:
    """Return what the stack says to the reader; a line of a template is one too. None: nothing."""
    top = frame
    inner: tuple[FrameType, tuple[str, int] | None] | None = None
    outer = inner
    best = 0
    while frame is not None:  # dear things only after it: stacks are deep
        code = frame.f_code
        line = template_line(frame) if code.co_name == "render_annotated" else None
        near = rank(line[0] if line else code.co_filename)
        if near and near >= best:
            outer = frame, line
            if near > best:
                inner, best = outer, near
        frame = frame.f_back
    if top is None or inner is None or outer is None:
        return None
    from_ = _place(*outer)
    place = from_ if outermost else _place(*inner)
    is_own = top is (outer if outermost else inner)[0]
    return Found(id(outer[0]), from_, place, "" if is_own else name_of(top))


def _place(frame: FrameType, line: tuple[str, int] | None) -> Place:
    return Place(*line) if line else Place(frame.f_code.co_filename, frame.f_lineno or 0)


def template_line(frame: FrameType) -> tuple[str, int] | None:
    """Return the line that a node of Django's template language renders."""
    node: Any = frame.f_locals.get("self")
    origin, token = getattr(node, "origin", None), getattr(node, "token", None)
    line = getattr(token, "lineno", None)
    return None if origin is None or line is None else (str(origin.name), int(line))


def name_of(frame: FrameType) -> str:
    name = getattr(frame.f_code, "co_qualname", frame.f_code.co_name)  # Python 3.11
    return f"{frame.f_globals.get('__name__', '')}.{name}".lstrip(".")
