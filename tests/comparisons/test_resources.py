"""What an event loop's views share, and what becomes of it when the loop ends."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from psycopg_pool import AsyncConnectionPool

from comparisons import resources
from project.services import apps
from tests.support.clients import PATIENCE, until


async def answer():
    pool = await resources.async_pool()
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT 1")
        assert await cursor.fetchone() == (1,)
    return pool, connection


def test_lasting_loop_has_one_pool_which_is_closed_with_it():
    async def main():
        async with resources.lasting():
            (pool, _), (again, _) = await answer(), await answer()
            assert pool is again
            assert isinstance(pool, AsyncConnectionPool)
        return pool

    assert asyncio.run(main()).closed


def test_services_keep_a_connection_that_idles_longer_than_their_clients_do():
    """Or else a client may send into a connection that is being closed."""
    command, _ = apps.prepare("comparisons.upstream:app", Path(), 1)
    kept = int(command[command.index("--timeout-keep-alive") + 1])
    assert resources.LIMITS.keepalive_expiry < kept


def test_two_loops_have_two_pools():
    async def main():
        async with resources.lasting():
            return await resources.async_pool()

    assert asyncio.run(main()) is not asyncio.run(main())


def test_loop_of_one_request_leaves_no_task_and_no_connection():
    async def main():
        _, connection = await answer()
        assert connection.closed
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_client_is_one_a_loop_and_closed_when_the_loop_ends():
    async def main():
        assert resources.async_upstream() is resources.async_upstream()
        await resources.async_upstream().get("/wait/0")
        return resources.async_upstream()

    first, second = asyncio.run(main()), asyncio.run(main())
    assert first is not second
    assert first.is_closed
    assert second.is_closed


def test_thread_that_comes_while_another_makes_it_waits_and_gets_the_same():
    made, others_turn = [], threading.Event()

    @resources.once
    def make():
        made.append(threading.get_ident())
        others_turn.set()
        time.sleep(0.05)  # the other thread comes here too, if nothing keeps it
        return object()

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(make)
        assert others_turn.wait(PATIENCE)
        second = threads.submit(make)
        assert first.result(PATIENCE) is second.result(PATIENCE)
    assert len(made) == 1


@pytest.fixture
def sync_pools(monkeypatch):
    """The pools of a process that has made none yet."""
    made = []
    monkeypatch.setattr(resources, "_sync_pools", made)
    for name in ("null_pool", "pool"):
        monkeypatch.setattr(resources, name, resources.once(getattr(resources, name).__wrapped__))
    yield made
    for pool in made:
        pool.close()


@pytest.mark.parametrize("name", ["pool", "null_pool"])
def test_threads_share_one_sync_pool(name, sync_pools):
    together = threading.Barrier(8)

    def ask(_):
        together.wait()
        return getattr(resources, name)()

    with ThreadPoolExecutor(8) as threads:
        assert {id(found) for found in threads.map(ask, range(8))} == {id(sync_pools[0])}
    assert len(sync_pools) == 1


@pytest.mark.parametrize(("name", "kept"), [("pool", 1), ("null_pool", 0)])
def test_pool_keeps_its_connection_and_null_pool_keeps_none(name, kept, sync_pools):
    pool = getattr(resources, name)()
    pool.wait()  # or it would open another one for who asks meanwhile
    with pool.connection() as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
    until(lambda: pool.get_stats()["pool_size"] == kept)
    assert conn.closed == (not kept)


def test_pool_behind_pgbouncer_keeps_no_connection(sync_pools, settings):
    settings.DATABASE_MODE = "pgbouncer"
    assert resources.pool() is resources.null_pool()


def test_sync_pools_are_counted(sync_pools):
    before = resources.pool_counters()["requests_num"]
    with resources.pool().connection(), resources.pool().connection():
        assert resources.pool_counters()["requests_num"] == before + 2
