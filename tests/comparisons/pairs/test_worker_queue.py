"""Workers of a queue keep all requests together within the capacity, as threads of a pool do."""

import asyncio
import json

import httpx2
import pytest

from comparisons.pairs import worker_queue as pair
from tests.support.loops import answers, calls_in_threads, cancelled_after, statuses

ALL_SERVED = json.dumps({"served": pair.CALLS}).encode()


def test_workers_use_the_whole_capacity_and_no_more(fake):
    served = asyncio.run(answers(pair.async_worker_queue, 5))
    assert {(answer.status_code, answer.content) for answer in served} == {(200, ALL_SERVED)}
    assert fake.max_under_way == pair.CAPACITY


def test_cancelled_request_gives_its_workers_back(fake):
    async def cancel_some_and_ask_again():
        await cancelled_after(pair.WAIT_MS // 2, pair.async_worker_queue, requests=3)
        return await statuses(pair.async_worker_queue, 5)

    assert asyncio.run(cancel_some_and_ask_again()) == [200] * 5
    assert fake.max_under_way == pair.CAPACITY


def test_request_hears_of_the_error_and_the_worker_goes_on(fake, monkeypatch):
    get, errors = fake.get, [httpx2.ConnectError("refused")]

    async def get_or_fail(path):
        if errors:
            raise errors.pop()
        return await get(path)

    monkeypatch.setattr(fake, "get", get_or_fail)

    async def fail_and_ask_again():
        with pytest.raises(httpx2.ConnectError, match="refused"):
            await answers(pair.async_worker_queue, 1)
        return await statuses(pair.async_worker_queue, 2)

    assert asyncio.run(fail_and_ask_again()) == [200] * 2


def test_number_of_threads_bounds_the_calls_of_all_requests(monkeypatch):
    served, max_under_way = calls_in_threads(
        monkeypatch, pair, pair.sync_threads, at_once=pair.CAPACITY
    )
    assert {(answer.status_code, answer.content) for answer in served} == {(200, ALL_SERVED)}
    assert max_under_way == pair.CAPACITY
