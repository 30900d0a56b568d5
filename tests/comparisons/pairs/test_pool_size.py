"""How many queries a pool of a size runs at once."""

import pytest

from comparisons.pairs import pool_size
from tests.support.clients import get_many
from tests.support.postgres import ask_a_thousand_times, backends, server_of


@pytest.mark.parametrize(("variant", "size"), [("async_2", 2), ("async_8", 8), ("sync_4", 4)])
def test_size_of_pool_is_how_many_queries_run_at_once(variant, size, postgres, sleep):
    with server_of(pool_size, variant, **sleep.environ) as (server, path):
        sleep.run_at_once(size, server, path, ask=3 * size)
        assert len(backends(postgres, server.name)) == size


def test_pool_larger_than_the_users_takes_no_more_connections(postgres):
    with server_of(pool_size, "async_64") as (server, path):
        assert get_many(server, path, 40, at_once=4) == {200: 40}
        assert len(backends(postgres, server.name)) <= 8  # one at work and one being put back each


@pytest.mark.long
def test_thousand_requests_lose_no_connection_though_some_are_cancelled(postgres, sleep):
    with server_of(pool_size, "async_8", **sleep.environ) as (server, path):
        ask_a_thousand_times(postgres, server, path, leave_after=pool_size.WAIT / 2)
        assert len(backends(postgres, server.name)) <= 8
        sleep.run_at_once(8, server, path, ask=24)  # all are usable
