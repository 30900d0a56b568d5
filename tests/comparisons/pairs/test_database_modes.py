"""Every way to connect, under every deployment."""

import pytest

from comparisons.pairs import orm_in_async
from loadtests.running import servers
from project.deployments import DATABASE_MODES as MODES
from project.deployments import DEPLOYMENTS
from tests.support.clients import get_many, until
from tests.support.postgres import backends, path_of

MARKS = {"pgbouncer": pytest.mark.needs("pgbouncer")}


@pytest.mark.long
@pytest.mark.parametrize("mode", [pytest.param(mode, marks=MARKS.get(mode, ())) for mode in MODES])
def test_every_deployment_can_have_every_database_mode(mode, postgres):
    shaped = [
        deployment.shaped(database=mode)
        for deployment in DEPLOYMENTS.values()
        if mode != "persistent" or not deployment.why_not_persistent
    ]
    assert len(shaped) >= len(DEPLOYMENTS) - 1
    with servers.serving(shaped, [{"SERVED": "orm-in-async/sync"}] * len(shaped)) as running:
        for server in running:
            assert get_many(server, path_of(orm_in_async, "sync"), 5) == {200: 5}
            if mode == "none":
                until(lambda name=server.name: not backends(postgres, name))
            else:
                assert 1 <= len(backends(postgres, server.name)) <= 20
