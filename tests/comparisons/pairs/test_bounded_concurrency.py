"""Which bounds keep all requests together within the capacity."""

import asyncio
import json

from comparisons.pairs import bounded_concurrency as pair
from tests.support.loops import (
    answers,
    calls_in_threads,
    cancelled_after,
    statuses,
)

ALL_SERVED = json.dumps({"served": pair.CALLS}).encode()


def test_unbounded_request_alone_exceeds_the_capacity_and_fails(fake):
    assert asyncio.run(statuses(pair.async_unbounded, 1)) == [503]


def test_own_semaphore_is_enough_for_one_request_and_not_for_two(fake):
    assert asyncio.run(statuses(pair.async_own_semaphore, 1)) == [200]
    assert 503 in asyncio.run(statuses(pair.async_own_semaphore, 2))


def test_shared_bound_uses_the_whole_capacity_and_no_more(fake):
    served = asyncio.run(answers(pair.async_semaphore, 5))
    assert {(answer.status_code, answer.content) for answer in served} == {(200, ALL_SERVED)}
    assert fake.max_under_way == pair.CAPACITY


def test_cancelled_request_gives_its_share_of_the_capacity_back(fake):
    async def cancel_some_and_ask_again():
        await cancelled_after(pair.WAIT_MS // 2, pair.async_semaphore, requests=3)
        return await statuses(pair.async_semaphore, 5)

    assert asyncio.run(cancel_some_and_ask_again()) == [200] * 5
    assert fake.max_under_way == pair.CAPACITY


def test_calls_of_a_sync_view_wait_for_each_other(monkeypatch):
    served, max_under_way = calls_in_threads(monkeypatch, pair, pair.sync, at_once=5)
    assert {(answer.status_code, answer.content) for answer in served} == {(200, ALL_SERVED)}
    assert max_under_way == 5  # one call a request
