"""Batches of the size that a variant's environment says."""

import pytest

from comparisons.pairs import batch_size
from tests.support.postgres import body_of, rows_between_beats


@pytest.mark.parametrize("variant", batch_size.comparison.variants, ids=lambda v: v.name)
def test_every_batch_size_reads_the_same_rows(variant, request_, database, monkeypatch):
    monkeypatch.setenv("CURSOR_ROWS", "1000")
    monkeypatch.setenv("CURSOR_BATCH", "1000")
    whole = body_of(batch_size.sync, request_)
    monkeypatch.setenv("CURSOR_BATCH", variant.environ["CURSOR_BATCH"])
    assert body_of(variant.view, request_) == whole


@pytest.mark.parametrize("batch", [1, 10, 1_000])
def test_loop_runs_after_each_batch(batch, request_, database, monkeypatch):
    monkeypatch.setenv("CURSOR_ROWS", str(3 * batch))
    monkeypatch.setenv("CURSOR_BATCH", str(batch))
    rows = rows_between_beats(batch_size, batch_size.async_native, request_, monkeypatch)
    assert rows == [batch] * 3


def test_each_variant_has_the_batch_of_its_name():
    declared = {v.name: v.environ["CURSOR_BATCH"] for v in batch_size.comparison.variants}
    assert declared == {name: name.rpartition("_")[2] for name in declared}
