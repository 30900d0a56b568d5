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

# One of each view: under the same deployment, what else a variant declares is not there. Of those
# that Django serves: test_request_path.py has the others.
VARIANTS = [
    (slug, next(v.name for v in comparison.variants if v.view is view))
    for slug, comparison in COMPARISONS.items()
    for view in dict.fromkeys(variant.view for variant in comparison.variants if not variant.app)
]
# Without it `request.user` is not there, whatever the deployment; to the others it does nothing.
MIDDLEWARE = sessions_and_users.DATABASE
MOVING = ("transactions", "atomic-requests")  # money between accounts
# Their interface and handlers are another's: the server alone is different, or how many there are.
LONG = (
    *("wsgi-sync", "wsgi-granian", "runserver"),
    *("asgi-granian", "asgi-granian-direct", "asgi-gunicorn", "asgi-workers"),
)
QUICK = tuple(name for name in DEPLOYMENTS if name not in LONG)


def get(server, path):
    with servers.direct.open(f"{server.url}{path}", timeout=30) as response:
        return response.status, response.headers, response.read()


@pytest.fixture(scope="module")
def served():
    """Serve these deployments until the end, and ask each for every variant; once for all tests.

    Returns the servers, and their answers: {(slug, variant, deployment): answer}.
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
        names = [name for of, name in VARIANTS if of == slug]
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
@pytest.mark.parametrize(("slug", "variant"), VARIANTS)
@pytest.mark.timeout(300)  # the first test asks for all: a minute alone, more beside others
@pytest.mark.xdist_group("every-variant")  # and is one worker's, or each asks
def test_every_variant_answers_alike_under_every_deployment(
    slug, variant, deployment, together, served
):
    running, answers = served(together)
    comparison = COMPARISONS[slug]
    declared = next(v for v in comparison.variants if v.name == variant)
    status, headers, body = answers[slug, variant, deployment]
    assert status, body
    assert headers[HEADER] == running[deployment].name
    if declared.is_async and DEPLOYMENTS[deployment].why_not_async:
        assert (status, headers["Content-Type"]) == (501, "text/plain")
        assert DEPLOYMENTS[deployment].why_not_async in body.decode()
        return
    if declared.may_fail and declared.pitfall and status == 503:  # its lesson; it says why
        assert body
        return
    first = comparison.variants[0]
    expected = answers[slug, first.name, together[0]][2]
    assert (status, body) == (200, expected), running[deployment].log.read_text()
    assert body
