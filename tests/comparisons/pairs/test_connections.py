"""A limit of connections, made to be reached on a real server."""

import asyncio
import json
import os

import psycopg
import pytest

from comparisons import limited_roles
from comparisons.pairs import connections
from tests.support.clients import answer, get_many
from tests.support.postgres import LIMITED_ROLE, backends, connected, server_of


def test_role_may_log_in_as_often_as_its_limit_says(postgres):
    limit = limited_roles.LIMIT
    with (
        connected(LIMITED_ROLE, limit),
        pytest.raises(psycopg.OperationalError, match="too many connections for role"),
    ):
        psycopg.connect(os.environ["DATABASE_URL"], user=LIMITED_ROLE)


@pytest.mark.parametrize("variant", connections.WITHOUT_POOL)
def test_without_pool_requests_above_the_limit_are_refused(variant, sleep):
    users, limit = 20, limited_roles.LIMIT

    async def crowd(running, let_go):
        """While the first query is held, all others are refused."""
        asking = [asyncio.ensure_future(answer(*running)) for _ in range(users)]
        statuses = []
        for number, answered in enumerate(asyncio.as_completed(asking), start=1):
            statuses.append((await answered)[0])
            if number == users - 1:
                let_go()
        return statuses

    with server_of(connections, variant, **sleep.environ) as running:
        with connected(LIMITED_ROLE, limit - 1), sleep.held() as let_go:
            assert asyncio.run(crowd(running, let_go)) == [503] * (users - 1) + [200]
        assert get_many(*running, 1) == {200: 1}


@pytest.mark.parametrize("variant", connections.WITH_POOL)
def test_with_pool_requests_above_the_limit_wait(variant, postgres, sleep):
    users, limit, size = 20, limited_roles.LIMIT, connections.POOL
    with (
        connected(LIMITED_ROLE, limit - size),
        server_of(connections, variant, **sleep.environ) as (server, path),
    ):
        sleep.run_at_once(size, server, path, ask=users)
        assert len(backends(postgres, server.name)) == size


def test_login_as_missing_role_names_it():
    with server_of(connections, "sync_threads", DATABASE_ROLE="nobody_at_all") as running:
        status, body = asyncio.run(answer(*running))
    assert status == 503
    assert "nobody_at_all" in json.loads(body)["error"]
