"""Where the queries of the ORM run, and what the event loop does meanwhile."""

import asyncio
import os
import threading

import pytest
from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.db import connections
from psycopg import AsyncConnection, AsyncCursor, Cursor

from comparisons.pairs import orm_in_async
from tests.support.postgres import APPLICATION, body_of, run, while_the_loop_beats


@pytest.fixture
def queries(database, monkeypatch):
    """Of each query of a view: the thread, and the process of Postgres."""
    found = []

    def note(cursor, query):
        if "comparisons_" in str(query):  # else it is a setting of a new connection
            found.append((threading.current_thread().name, cursor.connection.info.backend_pid))

    execute, async_execute = Cursor.execute, AsyncCursor.execute

    def noted(self, query, *args, **options):
        note(self, query)
        return execute(self, query, *args, **options)

    async def async_noted(self, query, *args, **options):
        note(self, query)
        return await async_execute(self, query, *args, **options)

    monkeypatch.setattr(Cursor, "execute", noted)
    monkeypatch.setattr(AsyncCursor, "execute", async_noted)
    return found


@pytest.mark.parametrize("variant", orm_in_async.comparison.variants, ids=lambda v: v.name)
def test_every_variant_answers_alike_with_three_queries(variant, request_, queries):
    body = body_of(variant.view, request_)
    assert len(queries) == 3
    assert body == orm_in_async.summary()


@pytest.mark.parametrize("view", [orm_in_async.async_orm, orm_in_async.async_one_hop])
def test_orm_runs_in_one_thread_on_one_connection_of_the_request(view, request_, queries):
    run(view(request_))
    (where,) = set(queries)
    assert where[0] != threading.current_thread().name


def test_psycopg_itself_stays_in_the_loops_thread(request_, queries):
    run(orm_in_async.async_native(request_))
    assert {thread for thread, _ in queries} == {threading.current_thread().name}


def test_two_requests_have_two_threads_and_two_connections(request_, queries):
    async def main():
        together = asyncio.Barrier(2)

        async def one():
            async with ThreadSensitiveContext():
                await orm_in_async.async_orm(request_)
                await together.wait()  # or the second would get what the first has put back
                await sync_to_async(connections.close_all)()

        await asyncio.gather(one(), one())

    asyncio.run(main())
    (thread, backend), (other_thread, other_backend) = set(queries)
    assert thread != other_thread
    assert backend != other_backend


@pytest.mark.parametrize(
    ("view", "hops"),
    [
        (orm_in_async.async_orm, 3),
        (orm_in_async.async_one_hop, 1),
        (orm_in_async.async_native, 0),
    ],
)
def test_async_methods_of_the_orm_hop_once_each(view, hops, request_, database, monkeypatch):
    hopped = []
    call = SyncToAsync.__call__

    async def counted(self, *args, **kwargs):
        hopped.append(self.func)
        return await call(self, *args, **kwargs)

    async def main():
        await view(request_)
        return len(hopped)

    monkeypatch.setattr(SyncToAsync, "__call__", counted)
    assert run(main()) == hops


@pytest.mark.parametrize(
    "view", [orm_in_async.async_orm, orm_in_async.async_one_hop, orm_in_async.async_native]
)
def test_loop_runs_while_a_query_waits(view, request_, database, postgres):
    """For a lock that only the loop itself will release."""
    events = []

    async def released_by_the_loop():
        async with await AsyncConnection.connect(os.environ["DATABASE_URL"]) as lock:
            await lock.execute("LOCK TABLE comparisons_customer IN ACCESS EXCLUSIVE MODE")
            waiting = asyncio.ensure_future(while_the_loop_beats(view(request_), events))
            while not postgres.execute(LOCKED_OUT, [APPLICATION]).fetchone():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            assert not waiting.done()
            await lock.rollback()
            return await waiting

    assert run(released_by_the_loop()).status_code == 200
    assert len(events) > 1


LOCKED_OUT = (
    "SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
)


def test_sync_orm_refuses_to_run_on_the_loop(request_, database):
    async def main():
        orm_in_async.summary()

    with pytest.raises(SynchronousOnlyOperation):
        asyncio.run(main())
