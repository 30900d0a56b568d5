"""Connections of threads that live on, kept or closed, on a real server."""

from collections import Counter

import pytest

from comparisons.pairs import leaked_connections, persistent_under_asgi
from loadtests.running import servers
from project.deployments import DEPLOYMENTS
from tests.support.clients import get_many, until
from tests.support.postgres import BUSY, backends, body_of, in_queries, path_of, server_of


@pytest.mark.parametrize(
    "view",
    [
        leaked_connections.sync_threads,
        leaked_connections.async_leaking,
        leaked_connections.async_closing,
    ],
)
def test_queries_in_threads_run_at_once(view, request_, monkeypatch):
    count = leaked_connections.COUNT
    events = in_queries(leaked_connections, monkeypatch, together=count)
    assert body_of(view, request_) == {"answers": list(range(count))}
    assert events == ["begin"] * count + ["end"] * count


def test_threads_that_live_on_keep_the_connections_of_the_pool(postgres):
    with server_of(leaked_connections, "async_leaking", SERVED="") as (server, path):
        size = int(leaked_connections.SMALL_POOL["POOL_SIZE"])
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


def test_threads_keep_a_connection_each_without_a_pool(postgres):
    deployment = DEPLOYMENTS["asgi-uvicorn"].shaped(database="none")
    with servers.serving([deployment]) as (server,):
        path = path_of(leaked_connections, "async_leaking")
        assert get_many(server, path, 8) == {200: 8}
        until(lambda: not backends(postgres, server.name, BUSY))
        assert len(backends(postgres, server.name)) >= leaked_connections.COUNT
        path = path_of(leaked_connections, "async_closing")

        def closed():
            """By the same threads, each when a query falls to it."""
            assert get_many(server, path, 20) == {200: 20}
            return not backends(postgres, server.name)

        until(closed)


@pytest.mark.long
def test_closing_threads_lose_no_connection_though_some_are_cancelled(postgres, sleep):
    environ = {"SERVED": "", "POOL_SIZE": "20", "POOL_TIMEOUT": "10"} | sleep.environ
    with server_of(leaked_connections, "async_closing", **environ) as (server, path):
        answers = get_many(server, path, 200, every=10, leave_after=leaked_connections.WAIT / 2)
        assert answers == {200: 180, None: 20}
        until(lambda: not backends(postgres, server.name, BUSY))
        assert len(backends(postgres, server.name)) <= 20
        other = path_of(persistent_under_asgi, "async_django_pool")
        sleep.run_at_once(20, server, other, ask=60)  # all are usable
