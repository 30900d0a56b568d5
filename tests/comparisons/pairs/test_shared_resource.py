"""What becomes of a client that another event loop has left behind."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

from asgiref.sync import async_to_sync

from comparisons.pairs import shared_resource
from tests.support.loops import (
    REQUEST,
    statuses,
)


def test_connection_that_another_loop_has_left_fails_and_says_why(shared):
    answers = [async_to_sync(shared_resource.async_shared_client)(REQUEST) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 503, 200, 503]
    assert json.loads(answers[1].content) == {"error": "RuntimeError: Event loop is closed"}


def test_shared_client_serves_all_in_one_loop(shared):
    async def in_turn_and_together():
        alone = await statuses(shared_resource.async_shared_client, 1)
        found = alone + await statuses(shared_resource.async_shared_client, 3)
        await shared_resource.shared_client().aclose()
        return found

    assert asyncio.run(in_turn_and_together()) == [200] * 4


def test_client_for_each_loop_serves_all_of_them():
    answers = [async_to_sync(shared_resource.async_per_loop)(REQUEST) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3


def test_threads_share_a_sync_client():
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(shared_resource.sync, [REQUEST] * 8))
    assert {answer.status_code for answer in answers} == {200}
