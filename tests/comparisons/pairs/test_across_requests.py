"""One request waits for its calls in turn; many requests wait together."""

import asyncio

from comparisons.pairs import across_requests as pair
from tests.support.loops import (
    REQUEST,
    statuses,
    turns,
)


def test_request_waits_for_its_calls_in_turn_and_many_wait_together(fake):
    view = pair.async_sequential
    one = asyncio.run(turns(view(REQUEST)))
    assert fake.events == ["ask", "got", "ask", "got"]
    assert fake.max_under_way == 1
    assert one >= 1000 * pair.SUM

    many = asyncio.run(turns(statuses(view, 50)))
    assert fake.max_under_way == 50
    assert many <= one + 20
