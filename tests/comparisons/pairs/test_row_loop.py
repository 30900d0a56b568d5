"""How many rows the loop deals with before the event loop runs again."""

import pytest

from comparisons.pairs import row_loop
from tests.support.postgres import body_of, rows_between_beats

ROWS, BATCH = row_loop.ROWS, row_loop.BATCH


@pytest.mark.parametrize("variant", row_loop.comparison.variants, ids=lambda v: v.name)
def test_every_way_to_read_reads_the_same_rows(variant, request_, database, monkeypatch):
    monkeypatch.setattr(row_loop, "ROWS", 1_000)
    monkeypatch.setattr(row_loop, "BATCH", 100)
    assert body_of(variant.view, request_) == body_of(row_loop.sync, request_)


@pytest.mark.parametrize(
    ("view", "rows"),
    [
        (row_loop.async_fetchall, [ROWS]),
        (row_loop.async_pausing, [BATCH] * (ROWS // BATCH)),
        (row_loop.async_batches, [BATCH] * (ROWS // BATCH)),
    ],
)
def test_event_loop_runs_after_each_batch_or_after_all(view, rows, request_, database, monkeypatch):
    assert rows_between_beats(row_loop, view, request_, monkeypatch) == rows
