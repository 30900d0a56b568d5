"""Fixtures of the tests that measure."""

import pytest

from loadtests.running.generators import load_generator


@pytest.fixture(scope="module")
def generator():
    with load_generator() as started:
        yield started
