"""What a request costs before the view runs, step by step: the steps are what they say."""

import re
import threading

import pytest

from loadtests.studies import request_path
from loadtests.studies.request_path import CHANGES, MIDDLEWARE, OURS, Change

STEPS = range(len(CHANGES) + 1)


def threads_started(monkeypatch, step, middleware):
    """For each request: there is one, and then twenty, until the time is over."""
    started = []
    start = threading.Thread.start

    def counted(thread):
        started.append(thread)
        start(thread)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", counted)
        request_path.measured(step, middleware, seconds=1e-9)
    return len(started) / 21


def test_each_request_of_djangos_own_handler_starts_two_threads_and_of_ours_none(monkeypatch):
    started = [threads_started(monkeypatch, step, []) for step in STEPS]
    assert started == [2, 1, 1, 1, 0, 0, 0, 0, 0, 0]


def test_middleware_starts_a_thread_until_its_hooks_run_on_the_loop(monkeypatch):
    seven = MIDDLEWARE["startproject's seven"]
    started = [threads_started(monkeypatch, step, seven) for step in STEPS]
    assert started == [2, 1, 1, 1, 1, 0, 0, 0, 0, 0]


def test_what_a_step_replaces_is_put_back():
    before = [getattr(target, name) for change in CHANGES for target, name, *_ in change.replaced]
    with request_path.made(OURS):
        pass
    after = [getattr(target, name) for change in CHANGES for target, name, *_ in change.replaced]
    assert before == after


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.words)
def test_every_change_replaces_something(change: Change):
    assert all(old is not new for _, _, old, new in change.replaced)


def test_local_without_a_lock_is_one_of_this_thread_alone():
    local = request_path.unlocked(value=1)
    seen = []
    other = threading.Thread(target=lambda: seen.append(hasattr(local, "value")))
    other.start()
    other.join()
    assert (local.value, seen) == (1, [False])
    del local.value
    assert not hasattr(local, "value")
    with pytest.raises(AttributeError):
        del local.value


def test_every_step_has_a_row(monkeypatch, capsys):
    monkeypatch.setattr(request_path, "ROUNDS", 2)
    monkeypatch.setattr(request_path, "SECONDS", 0.001)
    monkeypatch.setenv("COLUMNS", "200")  # figures of so short a time may be long
    request_path.main()
    printed = capsys.readouterr().out
    assert "Django's handler" in printed
    assert re.search(r"Starlette, for comparison.*\d \(", printed)
    assert printed.count("asgiref") == 2
    assert printed.count("Django ") >= len(CHANGES) - 2
