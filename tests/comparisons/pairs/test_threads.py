"""How many blocking calls wait at once, by where their threads come from."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import ThreadSensitiveContext

from comparisons.pairs import threads
from tests.support.clients import PATIENCE


@pytest.fixture
def max_at_once(request_, monkeypatch):
    """A function: how many of `count` requests are in their blocking call at the same time.

    The calls return soon after `together` of them are in theirs. in_request: around each request.
    """

    def counted(view, count, together, in_request=ThreadSensitiveContext):
        lock, now, peak, enough = threading.Lock(), 0, 0, threading.Event()
        sleep_for_real = time.sleep

        def sleep(_seconds):
            nonlocal now, peak
            with lock:
                now += 1
                peak = max(peak, now)
                if now == together:
                    enough.set()
            assert enough.wait(PATIENCE)
            sleep_for_real(0.02)  # more can come, if nothing keeps them
            with lock:
                now -= 1

        async def request():
            async with in_request():
                await view(request_)

        async def main():
            await asyncio.gather(*(request() for _ in range(count)))

        monkeypatch.setattr(threads.time, "sleep", sleep)
        asyncio.run(main())
        return peak

    return counted


def test_default_executors_threads_are_counted_as_python_counts_them():
    with ThreadPoolExecutor() as executor:
        assert executor._max_workers == threads.THREADS


def test_default_executor_lets_as_many_wait_as_it_has_threads(max_at_once):
    limit = threads.THREADS
    assert max_at_once(threads.async_default_executor, limit + 10, together=limit) == limit


def test_own_executor_lets_as_many_wait_as_it_has_threads(max_at_once):
    assert max_at_once(threads.async_own_executor, 110, together=100) == 100


def test_thread_sensitive_calls_of_different_requests_wait_together(max_at_once):
    assert max_at_once(threads.async_thread_sensitive, 40, together=40) == 40


def test_thread_sensitive_calls_of_one_request_wait_for_each_other(max_at_once):
    async def view(request):
        calls = (threads.async_thread_sensitive(request) for _ in range(5))
        await asyncio.gather(*calls)

    assert max_at_once(view, 1, together=1) == 1


def test_calls_of_requests_that_share_a_thread_wait_for_each_other(max_at_once):
    with ThreadPoolExecutor(1) as shared:

        def in_shared_thread():
            return ThreadSensitiveContext(executor=shared)

        assert max_at_once(threads.async_thread_sensitive, 5, 1, in_shared_thread) == 1
