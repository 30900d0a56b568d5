"""The tracer: where lines run, what they hold and await, by a clock that only the test moves."""

import asyncio
import importlib
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from functools import partial

import pytest
from asgiref.current_thread_executor import CurrentThreadExecutor
from asgiref.sync import ThreadSensitiveContext, sync_to_async

from comparisons import offload, tracing

SOURCE = '''\
import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from asgiref.sync import sync_to_async


def fib(n):
    return n if n <= 1 else fib(n - 1) + fib(n - 2)


def query(take):
    take(30)
    return "rows"


async def blocking(take):
    """A docstring is no line that runs."""
    take(100)
    return 1


async def awaiting(take, later):
    take(2)
    await later()
    take(3)


async def hop(take):
    return await sync_to_async(query)(take)


async def executor(take):
    return await sync_to_async(query, thread_sensitive=False)(take)


async def gathered(*children):
    await asyncio.gather(*(child() for child in children))


async def process(pool, function):
    return await asyncio.get_running_loop().run_in_executor(pool, function, 5)


def threads(function, count):
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(function, range(count)))


def loop_of_rows(take):
    for _ in range(3):
        take(5)


async def held_by_loop(take):
    take(10)
    loop_in_view = 0
    for _ in range(3):
        take(5)
        loop_in_view += 1
    return loop_in_view


def leaves(take, manager):
    with manager:
        take(1)
    return 2


def pieces(take):
    for number in range(2):
        take(4)
        yield number


async def async_pieces(take, later):
    for number in range(2):
        await later()
        take(4)
        yield number


async def calls_blocking(take):
    take(40)
    return await blocking(take)


def fails(take):
    take(1)
    raise LookupError


async def waits_for(event):
    await event.wait()


def starts(run):
    run(["/bin/sh", "/dev/null"], check=True)
'''
LINES = SOURCE.splitlines()
MS = 1_000_000


class Clock:
    """A clock in ms that stands still unless it is told otherwise."""

    def __init__(self):
        self.now = 0

    def take(self, ms):
        self.now += ms * MS

    async def later(self):
        """Let others run, while 50 ms pass."""
        await asyncio.sleep(0)
        self.take(50)
        await asyncio.sleep(0)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(tracing, "perf_counter_ns", lambda: clock.now)
    return clock


@pytest.fixture
def traced(tmp_path, monkeypatch, clock):
    """A changed module, and what has noted what it does."""
    for kind in (ThreadPoolExecutor, CurrentThreadExecutor, ProcessPoolExecutor):
        monkeypatch.setattr(kind, "submit", kind.submit)  # as it is again after the test
    monkeypatch.setattr(subprocess.Popen, "__init__", subprocess.Popen.__init__)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    (tmp_path / "traced_functions.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    recorder = tracing.record("traced_functions")
    module = importlib.import_module("traced_functions")
    yield module, recorder
    del sys.modules["traced_functions"]


def rows(recorder):
    """What was noted: {(text of the line, what, where): (threads, held, awaited, times)}."""
    return {
        (LINES[line - 1].strip(), what, where): tuple(rest)
        for _, line, what, where, *rest in recorder.taken()["parts"]
    }


def run(recorder, coroutine):
    """Run it on an event loop that is the server's."""

    async def main():
        recorder.server_loop = asyncio.get_running_loop()
        async with ThreadSensitiveContext():
            return await coroutine

    return asyncio.run(main())


def test_line_that_blocks_holds_the_loop_and_is_named(traced, clock):
    module, recorder = traced
    assert run(recorder, module.blocking(clock.take)) == 1
    taken = recorder.taken()
    assert [[LINES[line - 1].strip(), *rest] for _, line, *rest in taken["parts"]] == [
        ["take(100)", "", "loop", 1, 100, 0, 1],
        ["return 1", "", "loop", 1, 0, 0, 1],
    ]
    function, first, last, ms = taken["held"]
    assert (function, LINES[first - 1].strip(), last - first, ms) == (
        *("blocking", "take(100)"),
        *(0, 100),
    )


def test_await_holds_nothing_while_it_is_suspended(traced, clock):
    module, recorder = traced
    run(recorder, module.awaiting(clock.take, lambda: asyncio.create_task(clock.later())))
    assert rows(recorder) == {
        ("take(2)", "", "loop"): (1, 2, 0, 1),
        ("await later()", "", "loop"): (1, 0, 50, 1),
        ("take(3)", "", "loop"): (1, 3, 0, 1),
    }


def test_await_that_computes_in_its_own_coroutine_holds_the_loop(traced, clock):
    module, recorder = traced

    async def computes():
        clock.take(70)

    run(recorder, module.awaiting(clock.take, computes))
    assert rows(recorder)["await later()", "", "loop"] == (1, 70, 0, 1)


@pytest.mark.parametrize(
    ("view", "line", "where"),
    [
        ("hop", "return await sync_to_async(query)(take)", "thread-of-request"),
        (
            "executor",
            "return await sync_to_async(query, thread_sensitive=False)(take)",
            "thread-of-loop",
        ),
    ],
)
def test_function_handed_to_a_thread_runs_there(traced, clock, view, line, where):
    module, recorder = traced
    loop_waits = threading.Event()

    def take(ms):
        loop_waits.wait(60)
        clock.take(ms)

    async def main():
        asyncio.get_running_loop().call_soon(loop_waits.set)
        return await getattr(module, view)(take)

    assert run(recorder, main()) == "rows"
    assert rows(recorder) == {
        (line, "", "loop"): (1, 0, 30, 1),
        (line, "query", where): (1, 30, 0, 1),
        ("take(30)", "", where): (1, 30, 0, 1),
        ('return "rows"', "", where): (1, 0, 0, 1),
    }


def test_sync_function_of_a_server_runs_in_the_servers_thread(traced, clock):
    module, recorder = traced
    module.query(clock.take)
    assert rows(recorder)["take(30)", "", "thread-of-server"] == (1, 30, 0, 1)


def test_coroutine_under_wsgi_has_a_loop_of_the_request(traced, clock):
    module, recorder = traced
    asyncio.run(module.blocking(clock.take))
    assert ("take(100)", "", "loop-of-request") in rows(recorder)


def test_coroutine_on_a_second_loop_runs_in_its_thread(traced, clock):
    module, recorder = traced

    async def other():
        await asyncio.to_thread(asyncio.run, module.blocking(clock.take))

    run(recorder, other())
    assert ("take(100)", "", "loop-of-thread") in rows(recorder)


def test_gathered_children_await_each_other_at_the_same_time(traced, clock):
    module, recorder = traced

    async def main():
        first, second = asyncio.Event(), asyncio.Event()

        async def sets(mine, other):
            mine.set()
            await module.waits_for(other)

        await module.gathered(partial(sets, first, second), partial(sets, second, first))

    run(recorder, main())
    found = rows(recorder)
    assert found["await event.wait()", "", "loop"][3] == 2
    assert found["await asyncio.gather(*(child() for child in children))", "", "loop"][3] == 1


def test_functions_in_a_pool_of_threads_run_in_as_many_as_meet(traced):
    module, recorder = traced
    all_there = threading.Barrier(3)

    def meet(number):
        all_there.wait(60)
        return number

    assert module.threads(meet, 3) == [0, 1, 2]
    found = rows(recorder)
    threads, _, _, times = found[
        "return list(pool.map(function, range(count)))", "meet", "thread-of-executor"
    ]
    assert (threads, times) == (3, 3)


def test_function_handed_to_a_process_runs_there(traced):
    module, recorder = traced
    with offload.new_process_pool(1) as pool:
        assert run(recorder, module.process(pool, offload.fib)) == 5
    (found,) = [key for key in rows(recorder) if key[1]]
    assert found[1:] == ("fib", "process-of-pool")


def test_process_that_a_line_starts_is_named(traced):
    module, recorder = traced
    module.starts(subprocess.run)
    line = 'run(["/bin/sh", "/dev/null"], check=True)'
    assert rows(recorder)[line, "null", "process-started"][3] == 1


def test_rows_of_a_loop_count_and_hold_together(traced, clock):
    module, recorder = traced
    run(recorder, module.held_by_loop(clock.take))
    taken = recorder.taken()
    _, first, last, ms = taken["held"]
    assert (LINES[first - 1].strip(), LINES[last - 1].strip(), ms) == (
        *("for _ in range(3):", "loop_in_view += 1"),
        15,
    )


def test_callers_line_is_not_named_for_what_its_callee_held(traced, clock):
    module, recorder = traced
    run(recorder, module.calls_blocking(clock.take))
    _, first, *_, ms = recorder.taken()["held"]
    assert (LINES[first - 1].strip(), ms) == ("take(100)", 100)


def test_what_a_with_takes_at_its_end_is_the_withs(traced, clock):
    module, recorder = traced

    class Manager:
        def __enter__(self):
            clock.take(2)

        def __exit__(self, *_):
            clock.take(20)

    module.leaves(clock.take, Manager())
    found = rows(recorder)
    assert found["with manager:", "", "thread-of-server"] == (1, 22, 0, 1)
    assert found["take(1)", "", "thread-of-server"] == (1, 1, 0, 1)


def test_generator_holds_nothing_between_its_pieces(traced, clock):
    module, recorder = traced
    for _ in module.pieces(clock.take):
        clock.take(1000)
    assert rows(recorder) == {
        ("for number in range(2):", "", "thread-of-server"): (1, 0, 0, 1),
        ("take(4)", "", "thread-of-server"): (1, 8, 0, 2),
        ("yield number", "", "thread-of-server"): (1, 0, 0, 2),
    }


def test_generator_that_is_closed_early_is_over(traced, clock):
    module, recorder = traced
    with closing(module.pieces(clock.take)) as pieces:
        next(pieces)
        assert recorder.open
    assert not recorder.open


def test_async_generator_awaits_what_it_awaits_and_not_who_reads_it(traced, clock):
    module, recorder = traced

    async def reads():
        async for _ in module.async_pieces(clock.take, lambda: asyncio.create_task(clock.later())):
            clock.take(1000)

    run(recorder, reads())
    found = rows(recorder)
    assert found["await later()", "", "loop"] == (1, 0, 100, 2)
    assert found["take(4)", "", "loop"] == (1, 8, 0, 2)
    assert found["yield number", "", "loop"] == (1, 0, 0, 2)


def test_exception_ends_a_call(traced, clock):
    module, recorder = traced
    with pytest.raises(LookupError):
        module.fails(clock.take)
    assert not recorder.open
    assert recorder.handing() is None
    assert ("raise LookupError", "", "thread-of-server") in rows(recorder)


def test_cancelled_coroutine_is_over(traced):
    module, recorder = traced

    async def main():
        waiting = asyncio.create_task(module.waits_for(asyncio.Event()))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    run(recorder, main())
    assert not recorder.open
    assert recorder.handing() is None


def test_what_was_awaited_before_is_not_of_this_request(traced, clock):
    module, recorder = traced

    async def main():
        event = asyncio.Event()
        waiting = asyncio.create_task(module.waits_for(event))
        await asyncio.sleep(0)
        clock.take(500)
        recorder.taken()
        assert not recorder.open
        clock.take(7)
        event.set()
        await waiting

    run(recorder, main())
    assert rows(recorder)["await event.wait()", "", "loop"][2] == 7


def test_function_that_calls_itself_stays_as_it_is(traced):
    module, _ = traced
    assert not hasattr(module.fib, "__wrapped__")
    assert hasattr(module.query, "__wrapped__")


def test_nobody_traces_with_what_slows_everything_down(traced, clock):
    module, _ = traced
    before = sys.gettrace()
    module.query(lambda _: [sys.gettrace()] == [before] or pytest.fail("it traces"))


def test_names_are_those_of_what_was_handed_over():
    seen = []

    async def main():
        await sync_to_async(offload.fib)(3)
        await asyncio.to_thread(offload.fib, 3)
        await asyncio.to_thread(lambda: 3)

    submit = ThreadPoolExecutor.submit

    def noting(pool, function, *args):
        seen.append(tracing.name_of(function))
        return submit(pool, function, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ThreadPoolExecutor, "submit", noting)
        asyncio.run(main())
    assert seen == ["fib", "fib", "lambda"]
