"""How many tasks there are at once, and whether the event loop runs between the items."""

import asyncio

import pytest

from comparisons.pairs import fan_out_many, fan_out_semaphore
from tests.support.loops import (
    REQUEST,
    beats,
    beside_a_heartbeat,
)


def max_tasks(view):
    """How many tasks the event loop had at once, beside the one that looks and the view's own."""
    maximum = 0

    async def look_around():
        async def look():
            nonlocal maximum
            while True:
                maximum = max(maximum, len(asyncio.all_tasks()) - 2)
                await asyncio.sleep(0)

        looking = asyncio.create_task(look())
        await view(REQUEST)
        looking.cancel()

    asyncio.run(look_around())
    return maximum


@pytest.mark.parametrize("view", [fan_out_many.async_gather_all, fan_out_semaphore.async_semaphore])
def test_every_item_has_a_task_at_once_where_all_are_gathered(view):
    assert max_tasks(view) == fan_out_many.ITEMS


@pytest.mark.parametrize("view", [fan_out_many.async_batches, fan_out_many.async_bounded])
def test_tasks_are_never_more_than_the_bound(view):
    assert max_tasks(view) == fan_out_many.AT_ONCE


@pytest.mark.parametrize(
    ("view", "runs_between"),
    [
        (fan_out_many.async_gather_all, False),
        (fan_out_many.async_batches, True),
        (fan_out_many.async_bounded, True),
    ],
)
def test_event_loop_runs_between_items_unless_all_are_gathered(view, runs_between, monkeypatch):
    events = []

    async def send(item):
        events.append(item)
        await asyncio.sleep(0)
        return 1

    monkeypatch.setattr(fan_out_many, "send", send)
    asyncio.run(beside_a_heartbeat(view, events))
    assert (beats(events, 0, fan_out_many.ITEMS - 1) > 0) is runs_between
