"""How many connections Django's cache opens on an event loop, beside a shared client."""

import asyncio
import contextvars

import pytest
import redis

from comparisons import resources
from comparisons.pairs import django_cache
from tests.support.loops import (
    REQUEST,
    answer_of,
)


@pytest.mark.parametrize(
    ("view", "opened"), [(django_cache.async_django, 3), (django_cache.async_threaded, 0)]
)
def test_djangos_cache_opens_a_connection_for_each_request(view, opened, monkeypatch):
    resources.redis_client().ping()  # the client that is shared has its connection by now
    connect, connections = redis.connection.Connection.connect, set()

    def connect_and_count(self):
        if not self._sock:
            connections.add(id(self))
            kept.append(self)  # or another could get its id
        return connect(self)

    kept = []
    monkeypatch.setattr(redis.connection.Connection, "connect", connect_and_count)

    async def three_requests():
        for _ in range(3):
            await asyncio.create_task(view(REQUEST))  # with a context of its own, as servers do

    contextvars.Context().run(asyncio.run, three_requests())  # with no cache of other tests'
    assert len(connections) == opened
    for connection in kept:
        connection.disconnect()


@pytest.mark.parametrize("view", [django_cache.sync, django_cache.async_django])
def test_django_has_the_value_until_it_expires(view):
    key = django_cache.cache.make_key(django_cache.KEY)
    resources.redis_client().delete(key)
    assert answer_of(view).status_code == 200
    assert django_cache.cache.get(django_cache.KEY) == django_cache.VALUE
    assert 0 < resources.redis_client().ttl(key) <= django_cache.EXPIRY


def test_shared_client_sets_the_value_from_a_thread():
    resources.redis_client().delete(django_cache.KEY)
    assert answer_of(django_cache.async_threaded).status_code == 200
    assert resources.redis_client().get(django_cache.KEY) == django_cache.VALUE.encode()
