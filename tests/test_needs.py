"""Tests that need a program: skipped with a reason, but not where CI must have it."""

from types import SimpleNamespace

import pytest

from tests.conftest import pytest_runtest_setup

REASON = r"nonesuch is not installed \(Debian: apt-get install nonesuch\)"


def item_that_needs(program):
    return SimpleNamespace(iter_markers=lambda _name: [pytest.mark.needs(program).mark])


def test_missing_program_skips_its_test(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=REASON):
        pytest_runtest_setup(item_that_needs("nonesuch"))


def test_missing_program_fails_in_ci(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=REASON):
        pytest_runtest_setup(item_that_needs("nonesuch"))


def test_installed_program_lets_its_test_run():
    pytest_runtest_setup(item_that_needs("sh"))
