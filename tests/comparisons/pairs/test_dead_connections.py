"""The first request after Postgres has ended a server's connections."""

import pytest

from comparisons.pairs import dead_connections as pair
from comparisons.resources import async_pool
from loadtests.running import servers
from project.deployments import DEPLOYMENTS
from tests.support.clients import get_many, until
from tests.support.postgres import backends, path_of, run

CHECKS = {"CONN_HEALTH_CHECKS": "1"}
END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"


@pytest.mark.parametrize(
    ("deployment", "variants"),
    [
        pytest.param("wsgi-threads", ["sync"], marks=pytest.mark.long),
        ("asgi-uvicorn", ["async_orm", "async_native"]),
    ],
)
@pytest.mark.parametrize("checked", [False, True])
def test_dead_connection_fails_one_request_unless_it_is_checked(
    deployment, variants, checked, postgres
):
    """With a client at a time, for one thread: another would have a connection of its own."""
    shaped = DEPLOYMENTS[deployment].shaped(threads=1)
    with servers.serving([shaped], [CHECKS if checked else {}]) as (server,):
        for variant in variants:
            path = path_of(pair, variant)
            assert get_many(server, path, 2, at_once=1) == {200: 2}
            dead = backends(postgres, server.name)
            postgres.execute(END, [server.name])
            until(lambda dead=dead: not dead & backends(postgres, server.name))
            first = get_many(server, path, len(dead), at_once=1)
            assert first[500] == 0 if checked else 1 <= first[500] <= len(dead)
            assert get_many(server, path, 1) == {200: 1}


def test_check_is_one_more_query_for_each_time_that_a_connection_is_lent(
    database, settings, monkeypatch
):
    queries = []

    async def main():
        pool = await async_pool()
        execute = pool.connection_class.execute

        async def counted(self, query, *args, **kwargs):
            queries.append(query)
            return await execute(self, query, *args, **kwargs)

        monkeypatch.setattr(pool.connection_class, "execute", counted)
        for _ in range(2):
            async with pool.connection() as conn:
                await conn.execute("SELECT 1")

    settings.CONN_HEALTH_CHECKS = True
    run(main())
    assert queries == ["", "SELECT 1"] * 2
