"""What the pairs about queries claim: the ORM, gathered queries, cursors, streams, transactions.

By the order of events, or on a real server, whose backends are counted by their application name.
"""

import asyncio
import json
import os
import socket
import threading
import time
import tracemalloc
import warnings
from collections import Counter
from contextlib import contextmanager
from itertools import groupby

import pytest
from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.core.exceptions import SynchronousOnlyOperation
from django.db import connections
from psycopg import AsyncConnection

from comparisons import resources
from comparisons.pairs import (
    batched_cursor,
    gathered_queries,
    orm_in_async,
    persistent_under_asgi,
    streaming_response,
    transactions,
)
from loadtests.running import servers
from project.deployments import DEPLOYMENTS
from tests.plugin import accounts_alone
from tests.support.clients import PATIENCE, asked, get_many, loop_until, until
from tests.support.postgres import BUSY, backends, body_of, path_of, run, server_of

APPLICATION = settings.DATABASES["default"]["OPTIONS"]["application_name"]  # of this process


async def beside_a_heartbeat(awaitable, events):
    """Its result; until it is there, the loop appends "beat" whenever it may run."""
    task = asyncio.ensure_future(awaitable)
    while not task.done():
        events.append("beat")
        await asyncio.sleep(0)
    return task.result()


# --- orm-in-async


def queries_of(response):
    """Of each query: the thread, and the process of Postgres."""
    return [tuple(query.rsplit("/", 1)) for query in response["X-Queries"].split(", ")]


def test_every_variant_answers_alike_and_says_where_its_three_queries_ran(request_, database):
    bodies = set()
    for variant in orm_in_async.comparison.variants:
        response = run(variant.view(request_)) if variant.is_async else variant.view(request_)
        bodies.add(response.content)
        assert len(queries_of(response)) == 3
    assert len(bodies) == 1


@pytest.mark.parametrize("view", [orm_in_async.async_orm, orm_in_async.async_one_hop])
def test_the_orm_runs_in_the_requests_one_thread_on_its_one_connection(view, request_, database):
    queries = queries_of(run(view(request_)))
    assert len(set(queries)) == 1
    assert queries[0][0] != threading.current_thread().name


def test_psycopg_itself_stays_in_the_loops_thread(request_, database):
    queries = queries_of(run(orm_in_async.async_native(request_)))
    assert {thread for thread, _ in queries} == {threading.current_thread().name}


def test_two_requests_have_two_threads_and_two_connections(request_, database):
    async def main():
        together = asyncio.Barrier(2)

        async def one():
            async with ThreadSensitiveContext():
                response = await orm_in_async.async_orm(request_)
                await together.wait()  # or the second would get what the first has put back
                await sync_to_async(connections.close_all)()
                return queries_of(response)[0]

        return await asyncio.gather(one(), one())

    (thread, backend), (other_thread, other_backend) = asyncio.run(main())
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
def test_the_orms_async_methods_hop_once_each(view, hops, request_, database, monkeypatch):
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
def test_the_loop_runs_while_a_query_waits(view, request_, database, postgres):
    """For a lock that only the loop itself will release."""
    events = []

    async def released_by_the_loop():
        async with await AsyncConnection.connect(os.environ["DATABASE_URL"]) as lock:
            await lock.execute("LOCK TABLE comparisons_customer IN ACCESS EXCLUSIVE MODE")
            waiting = asyncio.ensure_future(beside_a_heartbeat(view(request_), events))
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


def test_the_sync_orm_refuses_to_run_on_the_loop(request_, database):
    async def main():
        orm_in_async.summary()

    with pytest.raises(SynchronousOnlyOperation):
        asyncio.run(main())


# --- gathered-queries


def in_queries(monkeypatch, count, together):
    """Events of `count` queries, each of which ends when `together` of them have begun.

    A little later, so that more can begin, if they do not wait for each other.
    """
    events, lock, enough = [], threading.Lock(), threading.Event()

    def query(number):
        with lock:
            events.append("begin")
            if events.count("begin") >= together:
                enough.set()
        assert enough.wait(PATIENCE)
        time.sleep(0.02)
        with lock:
            events.append("end")
        return number

    monkeypatch.setattr(gathered_queries, "query", query)
    return events


def test_the_orms_gathered_queries_run_one_after_another(request_, monkeypatch):
    events = in_queries(monkeypatch, gathered_queries.COUNT, together=1)
    run(gathered_queries.async_orm(request_))
    assert events == ["begin", "end"] * gathered_queries.COUNT


@pytest.mark.parametrize(
    "view",
    [
        gathered_queries.sync_threads,
        gathered_queries.async_leaking,
        gathered_queries.async_closing,
    ],
)
def test_in_threads_they_all_wait_at_once(view, request_, monkeypatch):
    count = gathered_queries.COUNT
    events = in_queries(monkeypatch, count, together=count)
    assert body_of(view, request_) == {"answers": list(range(count))}
    assert events == ["begin"] * count + ["end"] * count


@pytest.mark.parametrize(
    ("view", "at_once"),
    [
        (gathered_queries.async_orm, 1),
        (gathered_queries.async_pipeline, 1),
        (gathered_queries.async_native, gathered_queries.COUNT),
        (gathered_queries.async_closing, gathered_queries.COUNT),
    ],
)
def test_as_many_connections_as_queries_are_needed_for_them_to_run_at_once(
    view, at_once, request_, database, sleep, monkeypatch
):
    monkeypatch.setenv("PGOPTIONS", sleep.options)

    async def main():
        with sleep.held():
            answer = asyncio.ensure_future(view(request_))
            await loop_until(lambda: len(sleep.waiting()) == at_once)
            for _ in range(20):  # others have time to come
                await asyncio.sleep(0.005)
                assert len(sleep.waiting()) == at_once
        return json.loads((await answer).content)

    assert run(main()) == {"answers": list(range(gathered_queries.COUNT))}


def test_a_pipeline_sends_all_queries_before_the_first_is_answered(request_, database, monkeypatch):
    events = []
    execute = AsyncConnection.execute

    async def recorded(self, query, *args, **kwargs):
        if query == gathered_queries.SQL:
            events.append("sent")
        return await execute(self, query, *args, **kwargs)

    monkeypatch.setattr(AsyncConnection, "execute", recorded)

    async def main():
        await (await resources.async_pool()).wait()
        return await beside_a_heartbeat(gathered_queries.async_pipeline(request_), events)

    run(main())
    sent = [event for event, _ in groupby(events)]
    assert sent == ["beat", "sent", "beat"]


def test_threads_that_never_hear_of_a_requests_end_keep_the_pools_connections(postgres):
    with server_of(gathered_queries, "async_leaking") as (server, path):
        size = int(gathered_queries.SMALL_POOL["POOL_SIZE"])
        answers = Counter()
        while not answers[500] and answers.total() < 200:
            answers += get_many(server, path, 4)
        assert answers[500]
        # Nobody uses them, nobody has given them back,
        until(lambda: not backends(postgres, server.name, BUSY))
        assert len(backends(postgres, server.name)) == size
        # and for a view that leaks nothing itself there is none left.
        innocent = path_of(persistent_under_asgi, "async_django_pool")
        assert get_many(server, innocent, 4) == {500: 4}
        assert "couldn't get a connection" in server.log.read_text()


def test_without_a_pool_they_keep_as_many_connections_as_there_are_threads(postgres):
    deployment = DEPLOYMENTS["asgi-uvicorn"].shaped(database="none")
    with servers.serving([deployment]) as (server,):
        path = path_of(gathered_queries, "async_leaking")
        assert get_many(server, path, 8) == {200: 8}
        until(lambda: not backends(postgres, server.name, BUSY))
        assert len(backends(postgres, server.name)) >= gathered_queries.COUNT
        path = path_of(gathered_queries, "async_closing")

        def closed():
            """By the same threads, each when a query falls to it."""
            assert get_many(server, path, 20) == {200: 20}
            return not backends(postgres, server.name)

        until(closed)


@pytest.mark.parametrize(
    "variant",
    [
        "async_orm",
        "async_native",
        pytest.param("async_closing", marks=pytest.mark.long),
        pytest.param("async_pipeline", marks=pytest.mark.long),
    ],
)
def test_after_a_thousand_gathered_queries_of_which_some_are_cancelled_no_connection_is_lost(
    variant, postgres, sleep
):
    requests = 1000 // gathered_queries.COUNT
    environ = {"POOL_SIZE": "20"} | sleep.environ
    with server_of(gathered_queries, variant, **environ) as (server, path):
        leave_after = gathered_queries.WAIT / 2
        answers = get_many(server, path, requests, every=10, leave_after=leave_after)
        assert answers == {200: requests * 9 // 10, None: requests // 10}
        until(lambda: not backends(postgres, server.name, BUSY))
        assert len(backends(postgres, server.name)) <= 20
        # All are usable, by what needs one each (Django's pool) and by what needs five (psycopg's).
        colour = (
            "async_django_pool" if variant in ("async_orm", "async_closing") else "async_native"
        )
        other = path_of(persistent_under_asgi, colour)
        sleep.run_at_once(20, server, other, ask=60)


# --- batched-cursor


@pytest.mark.parametrize("variant", batched_cursor.comparison.variants, ids=lambda v: v.name)
def test_every_way_to_read_reads_the_same_rows(variant, request_, database, monkeypatch):
    monkeypatch.setattr(batched_cursor, "ROWS", 1_000)
    monkeypatch.setattr(batched_cursor, "BATCH", 100)
    assert body_of(variant.view, request_) == body_of(batched_cursor.sync, request_)


def most_rows_between_beats(view, request, monkeypatch):
    """How many rows are dealt with while the loop runs nothing else; and how often it may run."""
    events = []
    add_text = batched_cursor.Csv.add_text

    def recorded(self, text):
        events.append("row")
        add_text(self, text)

    monkeypatch.setattr(batched_cursor.Csv, "add_text", recorded)
    run(beside_a_heartbeat(view(request), events))
    runs = [(event, len(list(group))) for event, group in groupby(events)]
    return [length for event, length in runs if event == "row"]


def test_fetchall_deals_with_all_rows_at_once(request_, database, monkeypatch):
    rows = most_rows_between_beats(batched_cursor.async_fetchall, request_, monkeypatch)
    assert rows == [batched_cursor.ROWS]


@pytest.mark.parametrize("batch", [1, 10, 1_000])
@pytest.mark.parametrize("view", [batched_cursor.async_for, batched_cursor.async_fetchmany])
def test_a_server_side_cursor_lets_the_loop_run_after_each_batch(
    view, batch, request_, database, monkeypatch
):
    monkeypatch.setattr(batched_cursor, "ROWS", 3 * batch)
    monkeypatch.setattr(batched_cursor, "BATCH", batch)
    rows = most_rows_between_beats(view, request_, monkeypatch)
    assert rows == [batch] * 3


def test_the_orms_iterator_lets_the_loop_run_after_each_batch(request_, database, monkeypatch):
    monkeypatch.setattr(batched_cursor, "ROWS", 3_000)
    monkeypatch.setattr(batched_cursor, "BATCH", 1_000)
    rows = most_rows_between_beats(batched_cursor.async_iterator, request_, monkeypatch)
    assert rows == [1_000] * 3


def test_aiterator_of_a_plain_values_list_queries_on_the_loop_and_is_refused(database):
    """Why the pair's rows are named tuples; when Django has mended it, they need not be."""
    plain = batched_cursor.Invoice.objects.values_list("id")[:10]

    async def main():
        return [row async for row in plain.aiterator()]

    with pytest.raises(SynchronousOnlyOperation):
        asyncio.run(main())


def test_of_a_hundred_thousand_rows_a_cursor_holds_less_than_a_tenth_of_what_fetchall_does(
    request_, database, monkeypatch
):
    monkeypatch.setattr(batched_cursor, "ROWS", 100_000)

    def most_held(view):
        async def main():
            await (await resources.async_pool()).wait()
            tracemalloc.start()
            try:
                response = await view(request_)
                return tracemalloc.get_traced_memory()[1], response.content
            finally:
                tracemalloc.stop()

        return run(main())

    all_at_once, answer = most_held(batched_cursor.async_fetchall)
    assert most_held(batched_cursor.async_for) < (all_at_once / 10, answer)


# --- streaming-response


@pytest.mark.parametrize("variant", streaming_response.comparison.variants, ids=lambda v: v.name)
def test_the_file_is_the_same_however_it_is_sent(variant, request_, database, monkeypatch):
    monkeypatch.setattr(streaming_response, "ROWS", 2_500)
    expected = b"".join(streaming_response.sync(request_))
    assert expected.count(b"\n") == 2_500
    if variant.is_async:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert run(sent(variant.view, request_)) == expected
    else:
        assert b"".join(variant.view(request_)) == expected


async def sent(view, request):
    """What Django's ASGI handler would send."""
    response = await view(request)
    return b"".join([part async for part in response] if response.streaming else [response.content])


def test_a_sync_iterator_under_asgi_is_read_to_its_end_before_anything_is_sent(
    request_, database, monkeypatch
):
    events = recorded_csv(monkeypatch)

    async def main():
        response = await streaming_response.async_sync_iterator(request_)
        async for _ in response:
            events.append("sent")

    with pytest.warns(Warning, match="must consume synchronous iterators"):
        run(main())
    pieces = streaming_response.ROWS // streaming_response.BATCH
    assert events == ["read"] * (pieces + 1) + ["sent"] * pieces  # the last read finds no rows


def test_an_async_iterator_is_sent_while_it_is_read(request_, database, monkeypatch):
    events = recorded_csv(monkeypatch)

    async def main():
        async for _ in await streaming_response.async_native(request_):
            events.append("sent")

    run(main())
    assert events == ["read", "sent"] * (streaming_response.ROWS // streaming_response.BATCH)


def test_so_is_a_sync_iterator_under_wsgi(request_, database, monkeypatch):
    events = recorded_csv(monkeypatch)
    for _ in streaming_response.sync(request_):
        events.append("sent")
    pieces = streaming_response.ROWS // streaming_response.BATCH
    assert events == ["read", "sent"] * pieces + ["read"]


def recorded_csv(monkeypatch):
    events = []
    csv = streaming_response.csv

    def recorded(rows):
        events.append("read")
        return csv(rows)

    monkeypatch.setattr(streaming_response, "csv", recorded)
    return events


@contextmanager
def slow_client(server, path):
    """It asks, reads the beginning, and then nothing more."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # or the kernel takes it all
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", server.port))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        yield


def test_a_slow_client_holds_a_connection_while_its_rows_are_streamed_and_frees_it_by_leaving(
    postgres,
):
    with server_of(streaming_response, "async_native") as (server, path):
        with slow_client(server, path), slow_client(server, path):
            until(lambda: len(backends(postgres, server.name, BUSY)) == 2)
            for _ in range(20):  # others are answered meanwhile, and the two go on waiting
                assert get_many(server, "/bystander/", 1) == {200: 1}
            assert len(backends(postgres, server.name, BUSY)) == 2
        until(lambda: not backends(postgres, server.name, BUSY))


def test_a_slow_client_holds_no_connection_while_a_list_is_sent(postgres):
    with (
        server_of(streaming_response, "async_list") as (server, path),
        slow_client(server, path),
    ):
        until(lambda: not backends(postgres, server.name, BUSY))


def test_under_wsgi_a_slow_client_holds_a_thread_and_its_connection(postgres):
    """With a pool of one: whoever else needs a connection gets none, until the client leaves."""
    environ = {"POOL_SIZE": "1", "POOL_TIMEOUT": "0.2"}
    variant = next(v for v in streaming_response.comparison.variants if v.name == "sync")
    pooled = DEPLOYMENTS[variant.deployment].shaped(database="pool")
    with servers.serving([pooled], [environ]) as (server,):
        path = path_of(streaming_response, "sync")
        other = path_of(orm_in_async, "sync")
        until(lambda: get_many(server, other, 1) == {200: 1})  # the pool has its connection
        with slow_client(server, path):
            assert get_many(server, other, 1) == {500: 1}
            assert get_many(server, "/bystander/", 1) == {200: 1}
        until(lambda: get_many(server, other, 1) == {200: 1})


def test_streams_that_clients_leave_lose_no_connection(postgres, sleep):
    environ = {"POOL_SIZE": "4"} | sleep.environ
    with server_of(streaming_response, "async_native", **environ) as (server, path):
        answers = get_many(server, path, 40, at_once=8, every=4, leave_after=0.01)
        assert answers == {200: 30, None: 10}
        until(lambda: not backends(postgres, server.name, BUSY))
        other = path_of(persistent_under_asgi, "async_native")
        sleep.run_at_once(4, server, other, ask=12)


# --- transactions


@pytest.fixture
def accounts():
    with accounts_alone():
        yield


@pytest.fixture
def two_accounts(postgres, monkeypatch, accounts):
    """A function: what they have gained. The views move between these two."""
    pair = 999, 1000
    monkeypatch.setattr(transactions, "PAIRS", iter([pair]))

    def balances():
        query = "SELECT balance_cents FROM comparisons_account WHERE id IN (%s, %s) ORDER BY id"
        return [cents for (cents,) in postgres.execute(query, pair)]

    before = balances()
    yield lambda: [now - then for now, then in zip(balances(), before, strict=True)]
    update = "UPDATE comparisons_account SET balance_cents = %s WHERE id = %s"
    for cents, account in zip(before, pair, strict=True):
        postgres.execute(update, [cents, account])


@pytest.mark.parametrize("variant", transactions.comparison.variants, ids=lambda v: v.name)
def test_every_variant_moves_the_money(variant, request_, database, two_accounts):
    body_of(variant.view, request_)
    assert two_accounts() == [-1, 1]


@pytest.mark.parametrize(
    ("view", "moved"),
    [
        (transactions.async_two_calls, [-1, 0]),  # gone
        (transactions.async_atomic, [-1, 1]),  # nothing stops a thread
        (transactions.async_native, [0, 0]),
    ],
)
def test_what_is_left_of_a_view_that_is_cancelled_in_the_middle(
    view, moved, request_, database, postgres, two_accounts, sleep, monkeypatch
):
    monkeypatch.setenv("PGOPTIONS", sleep.options)

    async def main():
        with sleep.held():
            task = asyncio.ensure_future(view(request_))
            await loop_until(sleep.waiting)
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    until(lambda: not backends(postgres, APPLICATION, BUSY))
    assert two_accounts() == moved


def test_between_the_two_updates_nobody_else_sees_the_first(
    request_, database, two_accounts, sleep, monkeypatch
):
    monkeypatch.setenv("PGOPTIONS", sleep.options)

    async def main():
        with sleep.held():
            task = asyncio.ensure_future(transactions.async_native(request_))
            await loop_until(sleep.waiting)
            assert two_accounts() == [0, 0]
        await task

    run(main())
    assert two_accounts() == [-1, 1]


CENTS = 100_000  # of each account (migration 0003)
TOTAL = "SELECT sum(balance_cents) FROM comparisons_account"


@pytest.mark.parametrize("variant", ["async_atomic", "async_native"])
def test_of_a_thousand_transfers_a_hundred_are_cancelled_and_not_a_cent_is_lost(
    variant, postgres, accounts, sleep
):
    before = postgres.execute(TOTAL).fetchone()
    environ = {"POOL_SIZE": "20"} | sleep.environ
    with server_of(transactions, variant, **environ) as (server, path):
        leave_after = transactions.WAIT / 2
        answers = get_many(server, path, 1000, at_once=40, every=10, leave_after=leave_after)
        assert answers == {200: 900, None: 100}
        until(lambda: not backends(postgres, server.name, BUSY))
        assert postgres.execute(TOTAL).fetchone() == before
        assert len(backends(postgres, server.name)) <= 20
        sleep.run_at_once(20, server, path, ask=60)


def test_without_a_transaction_who_leaves_in_the_middle_takes_money_along(
    postgres, accounts, sleep
):
    before = postgres.execute(TOTAL).fetchone()[0]

    async def leave_in_the_middle(server, path):
        async with asked(server, path):
            await loop_until(sleep.waiting)

    try:
        with server_of(transactions, "async_two_calls", **sleep.environ) as (server, path):
            with sleep.held():
                asyncio.run(leave_in_the_middle(server, path))
                get_many(server, "/bystander/", 1)  # the loop has heard of it when it answers
            until(lambda: not backends(postgres, server.name, BUSY))
            assert postgres.execute(TOTAL).fetchone()[0] == before - transactions.CENTS
    finally:
        postgres.execute(f"UPDATE comparisons_account SET balance_cents = {CENTS}")
