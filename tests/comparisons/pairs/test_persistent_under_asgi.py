"""Connections that are left behind, and remedies that lose none, on a real server."""

from collections import Counter

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper

from comparisons.pairs import persistent_under_asgi
from tests.support.clients import get_many, until
from tests.support.postgres import BUSY, ask_a_thousand_times, backends, server_of


def test_every_request_under_asgi_leaves_a_persistent_connection(postgres):
    with server_of(persistent_under_asgi, "async_persistent", DATABASE_ROLE="") as (server, path):
        assert get_many(server, path, 40, at_once=40) == {200: 40}
        # Most of forty: the garbage collector may have come, and Postgres be ending some.
        assert len(backends(postgres, server.name)) > 20
        assert not backends(postgres, server.name, BUSY)


def test_left_connections_make_the_view_fail_at_last(postgres):
    with server_of(persistent_under_asgi, "async_persistent") as (server, path):
        answers = Counter()
        while not answers[500] and answers.total() < 200:
            answers += get_many(server, path, 5)
        assert answers[500]
        assert "too many connections for role" in server.log.read_text()


def test_persistent_connections_under_wsgi_are_no_more_than_threads(postgres):
    with server_of(persistent_under_asgi, "sync") as (server, path):
        assert get_many(server, path, 100, at_once=40) == {200: 100}
        assert len(backends(postgres, server.name)) <= persistent_under_asgi.THREADS


def test_djangos_pool_refuses_persistent_connections():
    settings = connections["default"].settings_dict
    options = {**settings["OPTIONS"], "pool": True}
    both = DatabaseWrapper({**settings, "CONN_MAX_AGE": 60, "OPTIONS": options}, alias="both")
    with pytest.raises(ImproperlyConfigured, match="persistent connections"):
        _ = both.pool


SIZE = 10


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param("async_per_request", marks=pytest.mark.long),
        "async_django_pool",
        pytest.param("async_native", marks=pytest.mark.long),
    ],
)
def test_thousand_requests_lose_no_connection_though_some_are_cancelled(variant, postgres, sleep):
    # Twenty clients at once: more than the limited role could have connections.
    environ = {"POOL_SIZE": str(SIZE), "DATABASE_ROLE": ""} | sleep.environ
    with server_of(persistent_under_asgi, variant, **environ) as (server, path):
        leave_after = persistent_under_asgi.WAIT / 2
        ask_a_thousand_times(postgres, server, path, leave_after)
        if variant == "async_per_request":
            until(lambda: not backends(postgres, server.name))
        else:
            assert len(backends(postgres, server.name)) <= SIZE
            sleep.run_at_once(SIZE, server, path, ask=3 * SIZE)  # all are usable


@pytest.mark.parametrize(
    "variant", ["async_django_pool", pytest.param("async_native", marks=pytest.mark.long)]
)
def test_pool_recovers_when_its_connections_are_gone(variant, postgres):
    # With the role of the test, which may end its own connections only.
    environ = {"POOL_SIZE": "4", "DATABASE_ROLE": ""}
    with server_of(persistent_under_asgi, variant, **environ) as (server, path):
        assert get_many(server, path, 20) == {200: 20}
        before = backends(postgres, server.name)
        for pid in before:
            postgres.execute("SELECT pg_terminate_backend(%s)", [pid])
        until(lambda: not before & backends(postgres, server.name))
        answers = get_many(server, path, 20, at_once=1)
        assert answers[500] <= len(before)  # each once, when its connection turns out to be dead
        assert get_many(server, path, 20) == {200: 20}
