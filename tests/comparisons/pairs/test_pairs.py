"""Every variant on every deployment: real servers, a real PostgreSQL, one table."""

import urllib.error
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from functools import cache

import pytest

from comparisons.pairs import COMPARISONS, sessions_and_users
from loadtests.running import servers
from project.deployments import DEPLOYMENTS
from project.middleware import HEADER
from tests.plugin import accounts_alone


def one_of_each_view(comparison):
    """Under the same deployment, what else a variant declares is not there.

    Of the views that Django serves: test_request_path.py has the others.
    """
    first = {}
    for variant in comparison.variants:
        if not variant.app:
            first.setdefault(variant.view, variant)
    return list(first.values())


VARIANTS = {slug: one_of_each_view(comparison) for slug, comparison in COMPARISONS.items()}
# Without it `request.user` is not there, whatever the deployment; to the others it does nothing.
MIDDLEWARE = sessions_and_users.DATABASE
MOVING = ("transactions", "atomic-requests")  # money between accounts
# An interface each, and a handler. The others' are the same: the server alone is different.
QUICK = ("wsgi-threads", "asgi-uvicorn", "asgi-uvicorn-direct")
LONG = tuple(name for name in DEPLOYMENTS if name not in QUICK)


def get(server, path):
    with servers.direct.open(f"{server.url}{path}", timeout=30) as response:
        return response.status, response.headers, response.read()


@pytest.fixture(scope="module")
def served():
    """Serve these deployments until the end, and ask each for every variant; once for all tests.

    Returns the servers, and their answers: {(slug, variant's name, deployment): answer}.
    """
    with ExitStack() as stack:

        @cache
        def served(names):
            started = stack.enter_context(
                servers.serving([DEPLOYMENTS[name] for name in names], [MIDDLEWARE] * len(names))
            )
            running = dict(zip(names, started, strict=True))
            return running, answers_of(running)

        yield served


def answers_of(running):
    def ask(slug, variant, deployment):
        try:
            return get(running[deployment], f"/{slug}/{variant}/")
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()
        except OSError as error:  # it hangs, or hangs up: the others are asked all the same
            return 0, {}, repr(error)

    def ask_all(slug):
        """One after another: they may share what has a limit."""
        names = [variant.name for variant in VARIANTS[slug]]
        with accounts_alone() if slug in MOVING else nullcontext():
            return {(slug, name, at): ask(slug, name, at) for name in names for at in running}

    with ThreadPoolExecutor(8) as threads:
        return {
            key: answer
            for found in threads.map(ask_all, COMPARISONS)
            for key, answer in found.items()
        }


@pytest.mark.parametrize(
    ("together", "deployment"),
    [
        *((QUICK, name) for name in QUICK),
        *(pytest.param(LONG, name, marks=pytest.mark.long) for name in LONG),
    ],
    ids=[*QUICK, *LONG],
)
@pytest.mark.parametrize("slug", VARIANTS)
@pytest.mark.timeout(300)  # the first test asks for all: a minute alone, more beside others
def test_every_variant_answers_alike_under_every_deployment(slug, deployment, together, served):
    running, answers = served(together)
    server, why_not_async = running[deployment], DEPLOYMENTS[deployment].why_not_async
    _, _, expected = answers[slug, VARIANTS[slug][0].name, together[0]]
    for variant in VARIANTS[slug]:
        status, headers, body = answers[slug, variant.name, deployment]
        assert status, body
        assert headers[HEADER] == server.name
        if variant.is_async and why_not_async:
            assert (status, headers["Content-Type"]) == (501, "text/plain")
            assert why_not_async in body.decode()
        elif variant.may_fail and variant.pitfall and status == 503:  # its lesson; it says why
            assert body
        else:
            assert (status, body) == (200, expected), f"{variant.name}\n{server.log.read_text()}"
            assert body
