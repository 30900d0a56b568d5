"""When the queries of a pipeline are sent, and that they run one after another."""

from itertools import groupby

import pytest
from psycopg import AsyncConnection

from comparisons import resources
from comparisons.pairs import persistent_under_asgi, pipeline
from tests.support.clients import get_many, until
from tests.support.postgres import BUSY, backends, path_of, run, server_of, while_the_loop_beats


def sent_and_beats(view, request, monkeypatch):
    """Return when queries are sent, and when the loop runs something else, repetitions dropped."""
    events = []
    execute = AsyncConnection.execute

    async def recorded(self, query, *args, **kwargs):
        if query == pipeline.SQL:
            events.append("sent")
        return await execute(self, query, *args, **kwargs)

    monkeypatch.setattr(AsyncConnection, "execute", recorded)

    async def main():
        await (await resources.async_pool()).wait()
        await while_the_loop_beats(view(request), events)

    run(main())
    return [event for event, _ in groupby(events)]


def test_pipeline_sends_all_queries_before_the_first_is_answered(request_, database, monkeypatch):
    events = sent_and_beats(pipeline.async_pipeline, request_, monkeypatch)
    assert events == ["beat", "sent", "beat"]


def test_sequential_queries_are_each_sent_after_an_answer(request_, database, monkeypatch):
    assert sent_and_beats(pipeline.async_sequential, request_, monkeypatch) == (
        ["beat", "sent"] * pipeline.COUNT + ["beat"]
    )


@pytest.mark.parametrize(
    "variants", [("sync", "sync_pipeline"), ("async_sequential", "async_pipeline")], ids=str
)
def test_queries_on_one_connection_run_one_after_another(variants, sleep, postgres):
    with server_of(pipeline, variants[0], SERVED="", POOL_SIZE="1", **sleep.environ) as (server, _):
        for variant in variants:
            sleep.run_at_once(1, server, path_of(pipeline, variant), ask=3)
            assert len(backends(postgres, server.name)) == 1


@pytest.mark.long
def test_pipelines_lose_no_connection_though_some_are_cancelled(postgres, sleep):
    environ = {"SERVED": "", "POOL_SIZE": "20"} | sleep.environ
    with server_of(pipeline, "async_pipeline", **environ) as (server, path):
        answers = get_many(server, path, 200, every=10, leave_after=pipeline.SUM / 2)
        assert answers == {200: 180, None: 20}
        until(lambda: not backends(postgres, server.name, BUSY))
        assert len(backends(postgres, server.name)) <= 20
        other = path_of(persistent_under_asgi, "async_native")
        sleep.run_at_once(20, server, other, ask=60)  # all are usable
