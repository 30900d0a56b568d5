"""What goes on behind an answer that came in time: by the order of events, on fake upstreams."""

import asyncio
import threading

import httpx2
import pytest

from comparisons.pairs import timeouts as pair
from tests.support.clients import PATIENCE, until
from tests.support.loops import REQUEST, answers
from tests.support.postgres import run


class SlowUpstream:
    """A sync client whose calls last until the test ends them, or as long as their timeout."""

    def __init__(self):
        self.events, self._end = [], threading.Event()

    def get(self, path, timeout=None):
        self.events.append("ask")
        if timeout:
            self.events.append("end")
            raise httpx2.ReadTimeout("")
        assert self._end.wait(PATIENCE)
        self.events.append("end")

    def end(self):
        self._end.set()
        until(lambda: self.events.count("end") == self.events.count("ask"))


@pytest.fixture
def slow(monkeypatch):
    upstream = SlowUpstream()
    monkeypatch.setattr(pair, "upstream", lambda: upstream)
    monkeypatch.setattr(pair, "TIMEOUT", 0.02)
    yield upstream
    upstream.end()


async def answered(view, slow, events):
    """Ask; note when the answer comes among the upstream's events; then end the calls."""
    await view(REQUEST)
    slow.events.append("answer")
    events += slow.events
    slow.end()


@pytest.mark.parametrize(
    ("view", "order"),
    [
        (pair.async_threaded, ["ask", "answer"]),  # and it has not ended
        (pair.async_client_timeout, ["ask", "end", "answer"]),
    ],
)
def test_answer_comes_before_the_end_of_a_call_in_a_thread_that_has_no_timeout(view, order, slow):
    events = []
    run(answered(view, slow, events))
    assert events == order


def test_sync_view_ends_its_call_before_it_answers(slow):
    assert pair.sync(REQUEST).status_code == 200
    assert slow.events == ["ask", "end"]


def test_default_executor_has_begun_as_many_calls_as_it_has_threads_when_all_are_answered(slow):
    async def main():
        await answers(pair.async_executor, pair.EXECUTOR + 20)
        begun = slow.events.count("ask")
        slow.end()
        return begun

    assert asyncio.run(main()) <= pair.EXECUTOR


def test_native_call_is_cancelled_before_the_answer(monkeypatch):
    events = []

    class Upstream:
        async def get(self, path):
            events.append("ask")
            try:
                await asyncio.sleep(PATIENCE)
            finally:
                events.append("cancelled")

    monkeypatch.setattr(pair, "async_upstream", Upstream)
    monkeypatch.setattr(pair, "TIMEOUT", 0.02)
    assert asyncio.run(pair.async_native(REQUEST)).status_code == 200
    assert events == ["ask", "cancelled"]
