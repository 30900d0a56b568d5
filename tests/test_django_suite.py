"""What judges our handler by Django's own tests: it finds what differs, and nothing does."""

import subprocess
import sys
import unittest

import pytest
from asgiref.sync import AsyncToSync
from django.core.handlers import base
from django.test import SimpleTestCase

from project.processes import BASE_DIR
from tests import django_suite
from tests.django_suite import Comparison, Outcome, compare
from tests.support import suite_process

PASSED = Outcome("passed")


def failed(error):
    return Outcome("failed", f"Traceback (most recent call last):\n  File ...\n{error}\n")


def test_equal_outcomes_need_no_explanation():
    outcomes = {"a": PASSED, "b": failed("ValueError: at 0x7f01")}
    other = {"a": PASSED, "b": failed("ValueError: at 0x7f02")}
    assert compare(outcomes, other, {}) == Comparison([], [], [])


@pytest.mark.parametrize(
    ("stock", "ours"),
    [
        ({"a": PASSED}, {"a": failed("AssertionError")}),
        ({"a": failed("ValueError: 1")}, {"a": failed("TypeError: 1")}),
        ({"a": PASSED}, {"a": Outcome("skipped")}),
        ({"a": PASSED}, {}),
        ({}, {"a": PASSED}),
    ],
    ids=["fails", "fails otherwise", "is skipped", "is not run", "is one more"],
)
def test_an_unexplained_difference_is_reported(stock, ours):
    assert compare(stock, ours, {}).unexplained == ["a"]
    assert compare(stock, ours, {"a": "because"}) == Comparison(["a"], [], [])


def test_an_explanation_that_explains_nothing_is_reported():
    expected = {"a": "is the same", "gone": "is in neither"}
    assert compare({"a": PASSED}, {"a": PASSED}, expected).unused == ["a", "gone"]


def test_without_an_index_one_line_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(django_suite, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(django_suite.signals, "handle", lambda: None)  # pytest's own stay
    assert django_suite.main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("pip can't fetch Django")
    assert err.count("\n") == 1
    assert list((tmp_path / "cache").iterdir()) == []


def probe_class(seen):
    class Probe(SimpleTestCase):
        async def test_probe(self):
            seen.append(getattr(AsyncToSync.executors, "current", None) is not None)
            seen.append(base.sync_to_async is suite_process.as_async)

        async def test_broken(self):
            raise ValueError

    return Probe


def run(test):
    result = unittest.TestResult()
    unittest.TestSuite([test]).run(result)
    assert result.testsRun == 1
    return result


def test_django_runs_an_async_test_below_sync_code():
    seen = []
    assert run(probe_class(seen)("test_probe")).wasSuccessful()
    assert seen == [True, False]


@pytest.mark.parametrize(
    ("how", "views_too"), [(suite_process.ON_A_LOOP, False), (suite_process.VIEWS_TOO, True)]
)
def test_on_a_loop_no_sync_code_is_above_it(how, views_too):
    seen = []
    test = suite_process.on_a_loop(probe_class(seen)("test_probe"), how)
    assert run(test).wasSuccessful()
    assert seen == [False, views_too]


def test_a_failure_on_a_loop_is_one():
    test = suite_process.on_a_loop(probe_class([])("test_broken"), suite_process.ON_A_LOOP)
    assert len(run(test).errors) == 1


def suite(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tests.django_suite", *arguments],
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        timeout=450,
    )


@pytest.mark.long
@pytest.mark.timeout(500)
def test_with_our_handler_djangos_own_tests_end_as_with_its_own():
    done = suite()
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.timeout(500)
def test_a_handler_with_a_fault_is_found():
    done = suite("asgi", "--handler", "tests.support.forgetful.ForgetfulHandler")
    assert done.returncode == 1, done.stdout + done.stderr
    fault = "test_read_body_buffers_all_chunks: passed with Django's handler, failed with ours"
    assert fault in done.stdout


@pytest.mark.long
@pytest.mark.timeout(500)
def test_an_unknown_label_is_one_line():
    done = suite("no_such_tests")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "has no tests no_such_tests" in done.stderr
