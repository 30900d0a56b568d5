"""What goes on when a client leaves: queries that Postgres runs, and connections, counted."""

import asyncio

import pytest

from comparisons.pairs import cancelled_requests as pair
from tests.support.clients import asked, get_many, loop_until, until
from tests.support.postgres import BUSY, backends, server_of

VIEWS = [
    (pair.sync, True),
    (pair.async_orm, True),
    (pair.async_native, False),
    (pair.async_shielded, True),
]


@pytest.mark.parametrize(("view", "goes_on"), VIEWS, ids=[view.__name__ for view, _ in VIEWS])
def test_query_of_a_client_who_left_goes_on_unless_it_is_native(view, goes_on, postgres, sleep):
    with server_of(pair, view.__name__, **sleep.environ) as (server, path):

        async def leave():
            async with asked(server, path):
                await loop_until(sleep.waiting)

        with sleep.held():
            asyncio.run(leave())
            get_many(server, "/bystander/", 3)  # whoever is to hear of it has when it answers
            if not goes_on:
                until(lambda: not sleep.waiting())
            assert bool(sleep.waiting()) == goes_on
        until(lambda: not backends(postgres, server.name, BUSY))


@pytest.mark.parametrize("view", ["async_orm", "async_native", "async_shielded"])
def test_pool_has_all_its_connections_after_clients_have_left(view, postgres, sleep):
    size = 3
    with server_of(pair, view, POOL_SIZE=str(size), **sleep.environ) as (server, path):
        get_many(server, path, 12, every=1, leave_after=0.05)
        until(lambda: not backends(postgres, server.name, BUSY))
        sleep.run_at_once(size, server, path, ask=2 * size)


def test_cancelled_view_runs_what_stands_in_finally(request_, database, sleep, monkeypatch):
    """As psycopg does, which gives the connection back."""
    events = []

    async def query():
        try:
            await asyncio.Event().wait()
        finally:
            events.append("tidied up")

    async def main():
        view = asyncio.ensure_future(pair.async_native(request_))
        await asyncio.sleep(0)
        view.cancel()
        with pytest.raises(asyncio.CancelledError):
            await view

    monkeypatch.setattr(pair, "async_query", query)
    asyncio.run(main())
    assert events == ["tidied up"]
