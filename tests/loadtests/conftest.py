"""Fixtures of the tests that measure."""

import pytest

from tests.support.hosts import hosts, why_no_namespaces
from tests.support.prepared import copied


@pytest.fixture(scope="session")
def generators():
    """Two for all tests of a process: to start and to measure what they can takes seconds."""
    # Here, because it imports the pairs: see pytest_configure in tests/conftest.py.
    from loadtests.running.generators import load_generators

    with load_generators() as started:
        yield started


@pytest.fixture(scope="session")
def generator(generators):
    """One of them, with which rounds come one after the other."""
    return generators[0]


@pytest.fixture
def namespaces():
    """Skips the test where nobody may make them, in CI too."""
    if why := why_no_namespaces():
        pytest.skip(why)


@pytest.fixture
def network(namespaces, tmp_path):
    """Hosts on a switch."""
    with hosts(tmp_path) as made:
        yield made


@pytest.fixture
def migrated_copy(migrated, tmp_path):
    """A folder of services with all tables and rows, to be used up."""
    return copied(migrated, tmp_path)
