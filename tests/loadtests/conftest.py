"""Fixtures of the tests that measure."""

import pytest


@pytest.fixture(scope="module")
def generators():
    # Here, because it imports the pairs: see pytest_configure in tests/conftest.py.
    from loadtests.running.generators import load_generators

    with load_generators() as started:
        yield started


@pytest.fixture(scope="module")
def generator(generators):
    """One of them, with which rounds come one after the other."""
    return generators[0]
