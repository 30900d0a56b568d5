"""How many sync requests run at once, and what they hold meanwhile, on a real server."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from comparisons.pairs import sync_under_asgi
from loadtests.running.sampling import usage
from tests.support.clients import get_many
from tests.support.postgres import backends, server_of

SIZE, USERS = sync_under_asgi.SIZE, 12


@contextmanager
def held(variant, count, sleep):
    """Yield the server while exactly so many of USERS, who all have asked, are in their query."""
    with (
        server_of(sync_under_asgi, variant, **sleep.environ) as (server, path),
        ThreadPoolExecutor(1) as clients,
    ):
        with sleep.held():
            asking = clients.submit(get_many, server, path, USERS, at_once=USERS)
            sleep.hold_exactly(count)
            yield server
        assert asking.result() == {200: USERS}


@pytest.mark.parametrize(
    ("variant", "at_once"), [("sync_wsgi", SIZE), ("sync_asgi", USERS), ("sync_pool", SIZE)]
)
def test_each_request_that_runs_has_a_connection(variant, at_once, postgres, sleep):
    with held(variant, at_once, sleep) as server:
        assert len(backends(postgres, server.name)) == at_once


@pytest.mark.parametrize(("variant", "at_once"), [("sync_asgi", USERS), ("sync_pool", SIZE)])
def test_sync_request_holds_a_thread_though_it_waits_for_a_connection(variant, at_once, sleep):
    with held(variant, at_once, sleep) as server:
        assert usage(server).threads > USERS


@pytest.mark.parametrize(
    ("variant", "at_once"), [("sync_shared_thread", 1), ("async_native", USERS)]
)
def test_one_shared_thread_serves_one_sync_request_or_all_async_ones(variant, at_once, sleep):
    with held(variant, at_once, sleep) as server:
        assert usage(server).threads < USERS
