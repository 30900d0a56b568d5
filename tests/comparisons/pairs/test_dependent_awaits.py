"""A request takes as many turns of the loop as its calls require."""

import asyncio

import pytest

from comparisons.pairs import dependent_awaits as pair
from tests.support.loops import (
    REQUEST,
    turns,
)


@pytest.mark.parametrize(
    ("view", "seconds", "events"),
    [
        (pair.async_sequential, pair.SUM, "ask got " * 4),
        # What needs the customer is asked as soon as they are known, while the rates are under way.
        (
            pair.async_by_dependency,
            pair.CRITICAL_PATH,
            "ask ask got ask ask got got got",
        ),
    ],
)
def test_request_takes_the_sum_or_the_critical_path(view, seconds, events, fake):
    took = asyncio.run(turns(view(REQUEST)))
    assert fake.events == events.split()
    # A turn a ms, and some turns for the tasks' starts and ends.
    assert 1000 * seconds <= took <= 1000 * seconds + 20
