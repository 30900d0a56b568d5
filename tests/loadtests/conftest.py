"""Fixtures of the tests that measure."""

import pytest


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
