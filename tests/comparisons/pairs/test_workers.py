"""Two event loops of one process share its GIL."""

import asyncio
import threading

from comparisons import offload
from comparisons.pairs import workers
from tests.support.loops import (
    between,
    run_beside_a_slow_heartbeat,
)


def test_background_loops_have_a_thread_each_and_take_requests_in_turn(request_, monkeypatch):
    ran_in = []

    def fib(n):
        ran_in.append((asyncio.get_running_loop(), threading.get_ident()))
        return n

    monkeypatch.setattr(workers, "fib", fib)

    async def main():
        for _ in range(4):
            await workers.async_two_loops(request_)
        return asyncio.get_running_loop(), threading.get_ident()

    servers_own = asyncio.run(main())
    assert ran_in[:2] == ran_in[2:]
    for loops_or_threads in zip(servers_own, *ran_in[:2], strict=True):
        assert len(set(loops_or_threads)) == 3


def test_loops_that_share_a_gil_compute_one_after_the_other(request_, monkeypatch, gil_kept):
    events = []

    def fib(n):
        events.append("start")
        offload.fib(15)
        events.append("end")
        return n

    monkeypatch.setattr(workers, "fib", fib)

    async def main():
        await asyncio.gather(*(workers.async_two_loops(request_) for _ in range(6)))

    asyncio.run(main())
    assert events == ["start", "end"] * 6


def test_one_loop_runs_nothing_else_while_it_computes(request_, monkeypatch):
    events = []

    def fib(n):
        events.append("start")
        offload.fib(15)
        events.append("end")
        return n

    monkeypatch.setattr(workers, "fib", fib)
    run_beside_a_slow_heartbeat(workers.async_one_loop, events)
    assert between(events, "start", "end") == []
