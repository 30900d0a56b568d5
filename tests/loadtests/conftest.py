"""Fixtures of the tests that measure."""

import pytest


@pytest.fixture(scope="module")
def generator():
    # Here, because it imports the pairs: see pytest_configure in tests/conftest.py.
    from loadtests.running.generators import load_generator

    with load_generator() as started:
        yield started
