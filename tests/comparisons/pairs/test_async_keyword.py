"""A coroutine gives control back where it awaits something that waits, and nowhere else."""

import pytest

from comparisons.pairs import async_keyword
from tests.support.loops import beats_of


def calls_with(n, wanted):
    """How many of the calls of fib(n) have an argument greater than 1 that `wanted` divides."""
    if n <= 1:
        return 0
    return (n % wanted == 0) + calls_with(n - 1, wanted) + calls_with(n - 2, wanted)


@pytest.mark.parametrize("view", [async_keyword.async_blocking, async_keyword.async_def])
def test_coroutine_that_awaits_only_itself_runs_to_its_end(view):
    assert beats_of(view) == 0


def test_event_loop_runs_at_every_pause_and_only_then():
    pauses = calls_with(async_keyword.N, async_keyword.PAUSE_AT)
    too_many = calls_with(async_keyword.N, async_keyword.PAUSE_TOO_OFTEN)
    assert pauses == 55  # the expectations count on it
    assert beats_of(async_keyword.async_yielding) == pauses
    assert beats_of(async_keyword.async_too_eager) == too_many > 100 * pauses
