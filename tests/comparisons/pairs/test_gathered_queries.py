"""How many of the gathered queries run at once, and on how many connections."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from comparisons.pairs import gathered_queries, persistent_under_asgi
from tests.support.clients import get_many, loop_until, until
from tests.support.postgres import BUSY, backends, in_queries, path_of, run, server_of


def test_gathered_queries_of_the_orm_run_one_after_another(request_, monkeypatch):
    events = in_queries(gathered_queries, monkeypatch, together=1)
    run(gathered_queries.async_orm(request_))
    assert events == ["begin", "end"] * gathered_queries.COUNT


@pytest.mark.parametrize(
    ("view", "at_once"),
    [
        (gathered_queries.async_orm, 1),
        (gathered_queries.async_native, gathered_queries.COUNT),
    ],
)
def test_queries_at_once_need_a_connection_each(
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


def test_threads_of_a_sync_view_run_queries_at_once(sleep):
    with server_of(gathered_queries, "sync_threads", **sleep.environ) as (server, path):
        with ThreadPoolExecutor(1) as clients, sleep.held():
            asking = clients.submit(get_many, server, path, 1)
            sleep.hold_exactly(gathered_queries.COUNT)
        assert asking.result() == {200: 1}


@pytest.mark.parametrize(
    "variant", ["async_orm", pytest.param("async_native", marks=pytest.mark.long)]
)
def test_gathered_queries_lose_no_connection_though_some_are_cancelled(variant, postgres, sleep):
    environ = {"SERVED": "", "POOL_SIZE": "20"} | sleep.environ
    with server_of(gathered_queries, variant, **environ) as (server, path):
        answers = get_many(server, path, 200, every=10, leave_after=gathered_queries.WAIT / 2)
        assert answers == {200: 180, None: 20}
        until(lambda: not backends(postgres, server.name, BUSY))
        assert len(backends(postgres, server.name)) <= 20
        # All are usable, by what needs one each (Django's pool) and by what needs five (psycopg's).
        colour = "async_django_pool" if variant == "async_orm" else "async_native"
        other = path_of(persistent_under_asgi, colour)
        sleep.run_at_once(20, server, other, ask=60)
