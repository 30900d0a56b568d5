"""The event loop gets control back once per hop."""

import asyncio
import threading

import pytest

from comparisons.pairs import thread_hops


@pytest.mark.parametrize(
    ("view", "hops"),
    [
        (thread_hops.async_many_hops, thread_hops.CALLS),
        (thread_hops.async_one_hop, 1),
        (thread_hops.async_native, 0),
    ],
)
def test_event_loop_gets_control_back_once_per_hop(view, hops, request_, monkeypatch):
    loops_thread = threading.get_ident()
    ran_in, handed_over = [], []
    step, sync_to_async = thread_hops.step, thread_hops.sync_to_async

    def recorded_step(number):
        ran_in.append(threading.get_ident())
        return step(number)

    def counted(function):
        handed_over.append(function)
        return sync_to_async(function)

    monkeypatch.setattr(thread_hops, "step", recorded_step)
    monkeypatch.setattr(thread_hops, "sync_to_async", counted)
    answer = asyncio.run(view(request_))
    assert answer.content == thread_hops.sync(request_).content
    assert len(handed_over) == hops
    here = [thread == loops_thread for thread in ran_in[: thread_hops.CALLS]]
    assert here == [hops == 0] * thread_hops.CALLS
