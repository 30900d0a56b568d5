"""How many connections to Redis the views take, and what becomes of who finds none."""

import asyncio
import json

import pytest
from django.conf import settings
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import MaxConnectionsError

from comparisons.pairs import redis_pool as pair
from tests.support.loops import REQUEST, answer_of

LIMIT = 100  # of redis-py's pools, if nobody says otherwise
FIT = LIMIT // len(pair.KEYS)  # requests at once
MISSES = [None] * len(pair.KEYS)


@pytest.fixture
def connected(monkeypatch):
    """The async connections that have been opened."""
    connect, opened = AbstractConnection.connect, set()

    async def noted(self):
        opened.add(self)
        await connect(self)

    monkeypatch.setattr(AbstractConnection, "connect", noted)
    return opened


@pytest.fixture
def sent(monkeypatch):
    """What is sent over async connections, one item for each time."""
    send, packets = AbstractConnection.send_packed_command, []

    async def noted(self, command, *args, **kwargs):
        packets.append(command)
        await send(self, command, *args, **kwargs)

    monkeypatch.setattr(AbstractConnection, "send_packed_command", noted)
    return packets


def ends_of(view, requests):
    """Return what each of so many requests at once ends with: its values, or its exception."""

    async def main():
        return await asyncio.gather(
            *(view(REQUEST) for _ in range(requests)), return_exceptions=True
        )

    return [
        end if isinstance(end, Exception) else json.loads(end.content)["values"]
        for end in asyncio.run(main())
    ]


def test_gathered_gets_take_a_connection_each(connected):
    assert ends_of(pair.async_gather, FIT) == [MISSES] * FIT
    assert len(connected) == FIT * len(pair.KEYS)


def test_gets_beyond_the_pools_limit_fail_without_a_connection(connected):
    *answered, failed = ends_of(pair.async_gather, FIT + 1)
    assert answered == [MISSES] * FIT
    assert isinstance(failed, MaxConnectionsError)
    assert len(connected) == LIMIT


def test_limit_is_the_pools_and_not_the_servers(monkeypatch, connected):
    def open_larger():
        return Redis.from_url(settings.REDIS_URL, max_connections=2 * LIMIT)

    monkeypatch.setattr(
        pair, "async_redis", lambda: pair.of_running_loop(open_larger, Redis.aclose)
    )
    assert ends_of(pair.async_gather, FIT + 1) == [MISSES] * (FIT + 1)
    assert len(connected) == (FIT + 1) * len(pair.KEYS)


def test_gets_beyond_the_limit_of_a_blocking_pool_wait(connected):
    assert ends_of(pair.async_blocking_pool, FIT + 1) == [MISSES] * (FIT + 1)
    assert len(connected) == pair.CONNECTIONS


@pytest.mark.parametrize("view", [pair.async_pipeline, pair.async_mget])
def test_keys_that_are_asked_for_together_take_one_connection_a_request(view, connected):
    assert ends_of(view, FIT + 1) == [MISSES] * (FIT + 1)
    assert len(connected) == FIT + 1


@pytest.mark.parametrize(
    ("view", "times"),
    [
        (pair.async_gather, len(pair.KEYS)),
        (pair.async_blocking_pool, len(pair.KEYS)),
        (pair.async_pipeline, 1),
        (pair.async_mget, 1),
    ],
)
def test_redis_is_asked_so_often(view, times, sent):
    async def main():
        await view(REQUEST)  # connects
        sent.clear()
        await view(REQUEST)

    asyncio.run(main())
    assert len(sent) == times


def test_connections_of_the_blocking_pool_are_closed_with_the_loop(connected):
    ends_of(pair.async_blocking_pool, 1)
    assert connected
    assert not any(connection.is_connected for connection in connected)


def test_sync_view_asks_for_the_same():
    assert json.loads(answer_of(pair.sync).content) == {"values": MISSES}
