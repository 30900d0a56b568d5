"""Who is let in, and who is refused, while all connections are busy: by the order of events."""

import asyncio

import pytest

from comparisons.pairs import overload as pair
from tests.support.clients import answer, loop_until
from tests.support.postgres import server_of

MORE = 6  # than are let in


async def asked_in_turn(server, path, sleep, count):
    """Ask one after another, each when the one before is let in or refused; none is served yet.

    Return the statuses of those that are refused at once, and of the others, when they may go on.
    """
    with sleep.held() as let_go:
        asking = []
        for _ in range(count):
            asking.append(asyncio.create_task(answer(server, path)))
            await asyncio.sleep(0.02)
        busy = pair.CONNECTIONS
        await loop_until(lambda: len(sleep.waiting()) == busy)
        refused = [task.result()[0] for task in asking if task.done()]
        let_go()
        served = [(await task)[0] for task in asking]
    return refused, served[: count - len(refused)]


@pytest.mark.parametrize(
    ("variant", "let_in"),
    [
        ("sync_limited", pair.LIMIT),
        ("async_limited", pair.LIMIT - 1),  # uvicorn counts the connection that comes
        ("async_native", pair.LIMIT + MORE),
        ("sync", pair.LIMIT + MORE),
    ],
)
def test_limit_refuses_at_once_whom_it_does_not_let_in(variant, let_in, sleep):
    count = pair.LIMIT + MORE
    with server_of(pair, variant, **sleep.environ) as (server, path):
        refused, served = asyncio.run(asked_in_turn(server, path, sleep, count))
    assert refused == [503] * (count - let_in)
    assert served == [200] * let_in
