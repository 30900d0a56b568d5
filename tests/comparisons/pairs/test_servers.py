"""The slots and the connections that a server has for a page."""

import pytest

from comparisons.pairs import servers as pair
from loadtests.running import servers
from project.deployments import DEPLOYMENTS
from tests.support.clients import get_many, until
from tests.support.postgres import backends, path_of

QUICK = ("sync_gevent", "async_gunicorn")  # the others' servers have other tests
EACH_PLACE = pytest.mark.parametrize(
    "variant",
    [
        pytest.param(v, id=v.name, marks=() if v.name in QUICK else pytest.mark.long)
        for v in pair.comparison.variants
        if v.name in pair.PLACES
    ],
)


def served(variant):
    return {"SERVED": f"{pair.comparison.slug}/{variant.name}"}


@EACH_PLACE
def test_server_keeps_no_connection_where_each_request_has_its_own(variant, postgres):
    """Neither gunicorn's asgi worker nor any other leaves one behind."""
    deployment = DEPLOYMENTS[variant.deployment].shaped(database="none")
    with servers.serving([deployment], [served(variant)]) as (server,):
        assert get_many(server, path_of(pair, variant.name), 20) == {200: 20}
        until(lambda: not backends(postgres, server.name))


@EACH_PLACE
def test_server_has_no_more_connections_than_its_threads_or_its_pool(variant, postgres):
    environ = served(variant) | {"POOL_SIZE": "5"}
    with servers.serving([DEPLOYMENTS[variant.deployment]], [environ]) as (server,):
        most = 5 if server.deployment.database == "pool" else server.deployment.threads
        assert get_many(server, path_of(pair, variant.name), 50, at_once=25) == {200: 50}
        assert 1 <= len(backends(postgres, server.name)) <= most
