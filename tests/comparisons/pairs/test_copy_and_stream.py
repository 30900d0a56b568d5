"""What `stream` and COPY read, and when the event loop runs meanwhile."""

import pytest

from comparisons.pairs import copy_and_stream
from tests.support.postgres import body_of, rows_between_beats


@pytest.mark.parametrize("variant", copy_and_stream.comparison.variants, ids=lambda v: v.name)
def test_every_way_to_read_reads_the_same_rows(variant, request_, database, monkeypatch):
    monkeypatch.setattr(copy_and_stream, "ROWS", 1_000)
    monkeypatch.setattr(copy_and_stream, "BATCH", 100)
    assert body_of(variant.view, request_) == body_of(copy_and_stream.sync_copy, request_)


@pytest.mark.parametrize("view", [copy_and_stream.async_for, copy_and_stream.async_stream])
def test_loop_runs_after_each_batch_of_a_cursor_or_stream(view, request_, database, monkeypatch):
    monkeypatch.setattr(copy_and_stream, "ROWS", 3_000)
    monkeypatch.setattr(copy_and_stream, "BATCH", 1_000)
    rows = rows_between_beats(copy_and_stream, view, request_, monkeypatch)
    assert sum(rows) == 3_000
    assert max(rows) == 1_000
