"""Fixtures that the tests of several pairs use."""

import gc
import sys
import warnings

import pytest

from tests.support.loops import FakeUpstream


@pytest.fixture
def gil_kept():
    """Nobody takes the GIL from a thread: it has it until it waits or calls what gives it up."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture
def fake(request, monkeypatch):
    """A fake upstream for the pair that the test's module is about."""
    upstream = FakeUpstream()
    monkeypatch.setattr(request.module.pair, "async_upstream", lambda: upstream)
    return upstream


@pytest.fixture
def shared():
    """A new client in place of shared-resource's.

    What it leaves behind in loops that have ended, nobody can close any more: it is collected, but
    not while the test runs, of which a warning would be an error.
    """
    from comparisons.pairs import shared_resource  # not above: see pytest_configure in tests

    shared_resource.shared_client.cache_clear()
    gc.disable()
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        shared_resource.shared_client.cache_clear()
        gc.collect()
        gc.enable()
