"""Which clients let the event loop run while the cache is written."""

import pytest

from comparisons import resources
from comparisons.pairs import cache, django_cache
from tests.support.loops import answer_of, beats_of


def test_sync_client_lets_nothing_else_run():
    assert beats_of(cache.async_blocking) == 0


@pytest.mark.parametrize(
    "view", [django_cache.async_threaded, django_cache.async_django, cache.async_native]
)
def test_event_loop_runs_while_the_cache_is_written(view):
    assert beats_of(view) > 0


@pytest.mark.parametrize("view", [cache.sync, cache.async_blocking, cache.async_native])
def test_value_is_in_the_cache_until_it_expires(view):
    resources.redis_client().delete(cache.KEY)
    assert answer_of(view).status_code == 200
    assert resources.redis_client().get(cache.KEY) == cache.VALUE.encode()
    assert 0 < resources.redis_client().ttl(cache.KEY) <= cache.EXPIRY
