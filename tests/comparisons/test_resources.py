"""What an event loop's views share, and what becomes of it when the loop ends."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from psycopg_pool import AsyncConnectionPool

from comparisons import resources
from tests.support.clients import PATIENCE


async def answer():
    pool = await resources.async_pool()
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT 1")
        assert await cursor.fetchone() == (1,)
    return pool, connection


def test_a_lasting_loop_has_one_pool_which_is_closed_with_it():
    async def main():
        async with resources.lasting():
            (pool, _), (again, _) = await answer(), await answer()
            assert pool is again
            assert isinstance(pool, AsyncConnectionPool)
        return pool

    assert asyncio.run(main()).closed


def test_two_loops_have_two_pools():
    async def main():
        async with resources.lasting():
            return await resources.async_pool()

    assert asyncio.run(main()) is not asyncio.run(main())


def test_a_loop_of_one_request_has_no_pool_and_leaves_no_task_and_no_connection():
    async def main():
        _, connection = await answer()
        assert connection.closed
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_a_client_is_one_a_loop_and_closed_when_the_loop_ends_by_itself():
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
