"""Every variant on every deployment: real servers, a real PostgreSQL, one table."""

import json
import urllib.request

import pytest

from comparisons.pairs import COMPARISONS
from loadtests import servers
from project.deployments import DEPLOYMENTS
from project.middleware import HEADER

VARIANTS = [(slug, v.name) for slug, comparison in COMPARISONS.items() for v in comparison.variants]


@pytest.fixture(scope="module")
def running():
    with servers.serving(list(DEPLOYMENTS.values())) as started:
        yield {server.deployment.name: server for server in started}


def get(server, path):
    with urllib.request.urlopen(f"{server.url}{path}", timeout=30) as response:
        return response.status, response.headers, response.read()


@pytest.fixture(scope="module")
def first_body(running):
    """What the first variant of each comparison answers under its own deployment."""
    return {
        slug: get(
            running[comparison.variants[0].deployment], f"/{slug}/{comparison.variants[0].name}/"
        )[2]
        for slug, comparison in COMPARISONS.items()
    }


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
@pytest.mark.parametrize(("slug", "variant"), VARIANTS)
def test_every_variant_answers_alike_under_every_deployment(
    slug, variant, deployment, running, first_body
):
    status, headers, body = get(running[deployment], f"/{slug}/{variant}/")
    assert (status, body) == (200, first_body[slug])
    assert json.loads(body)
    assert headers[HEADER] == running[deployment].name
