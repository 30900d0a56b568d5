"""Fixtures that more than one file uses; and what becomes of a test whose program is missing."""

import os
import shutil
from importlib import import_module

import psycopg
import pytest
from django.db import connections
from django.test import RequestFactory

from comparisons.declarations import DeclarationError
from tests.support.postgres import server_with_superuser, sleep_at_command
from tests.support.prepared import migrated, run_once  # noqa: F401  fixtures

# Where Debian has programs, PgBouncer among them, that an ordinary user's PATH may leave out.
PATH = os.pathsep.join([*os.get_exec_path(), "/usr/sbin"])


def pytest_runtest_setup(item):
    """Skip a test marked `needs(program)` where there is none; CI has them all, or fails."""
    for mark in item.iter_markers("needs"):
        program, package = mark.args[0], mark.args[-1]
        if not shutil.which(program, path=PATH):
            is_missing(program, f"Debian: apt-get install {package}")


def is_missing(program, how):
    """Skip the running test, and say how to have the program; CI fails."""
    missing = f"{program} is not installed ({how})"
    if os.environ.get("CI"):
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)


def pytest_configure():
    """A wrong declaration is one line, instead of a traceback for each file of tests.

    So nothing above imports the pairs.
    """
    try:
        import_module("comparisons.pairs")
    except DeclarationError as error:
        pytest.exit(str(error), returncode=2)


# Files that take half a minute or more. They come first, so that the small ones fill up what the
# workers of --dist loadfile have left at the end.
LONGEST_FILES = (
    "test_compare.py",
    "test_services.py",
    "test_odd_environments.py",
    "test_remote.py",
    "test_measure.py",
    "test_migrate.py",
    "test_interruptions.py",
    "test_servers.py",
    "test_failing_views.py",
    "test_pairs.py",
    "test_persistent_under_asgi.py",
    "test_odd_postgres.py",
    "test_every_page.py",
    "test_trying.py",
    "test_turns.py",
    "test_language.py",
    "test_report.py",
    "test_traces.py",
    "test_first_start.py",
)


def pytest_collection_modifyitems(items):
    order = {name: place for place, name in enumerate(LONGEST_FILES)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture
def request_():
    return RequestFactory().get("/")


@pytest.fixture
def database(django_db_blocker):
    """The seeded database itself, which the views under test read."""
    with django_db_blocker.unblock():
        yield
        connections.close_all()


@pytest.fixture(scope="session")
def superuser(tmp_path_factory):
    """A connection of the superuser of a PostgreSQL that is not the views'."""
    with server_with_superuser(tmp_path_factory.mktemp("postgres")) as connection:
        yield connection


@pytest.fixture(scope="module")
def postgres():
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as watcher:
        yield watcher


@pytest.fixture
def undisturbed(monkeypatch):
    """What others take of this machine makes no round invalid."""
    for taken in ("stolen_share", "throttled_s"):
        monkeypatch.setattr(f"loadtests.running.sampling.{taken}", lambda *_: 0.0)
    monkeypatch.setattr("loadtests.judging.validity.MAX_STALL_S", 60)


@pytest.fixture
def sleep(postgres):
    with sleep_at_command(postgres) as sleep:
        yield sleep
