"""How long the event loop is held, and what is kept in memory, while many rows are read."""

import tracemalloc

import pytest

from comparisons import resources
from comparisons.pairs import batched_cursor
from tests.support.postgres import body_of, rows_between_beats, run


@pytest.mark.parametrize("variant", batched_cursor.comparison.variants, ids=lambda v: v.name)
def test_every_way_to_read_reads_the_same_rows(variant, request_, database, monkeypatch):
    monkeypatch.setattr(batched_cursor, "ROWS", 1_000)
    monkeypatch.setattr(batched_cursor, "BATCH", 100)
    assert body_of(variant.view, request_) == body_of(batched_cursor.sync, request_)


def test_fetchall_deals_with_all_rows_at_once(request_, database, monkeypatch):
    view = batched_cursor.async_fetchall
    rows = rows_between_beats(batched_cursor, view, request_, monkeypatch)
    assert rows == [batched_cursor.ROWS]


@pytest.mark.parametrize("batch", [1, 10, 1_000])
def test_server_side_cursor_lets_the_loop_run_after_each_batch(
    batch, request_, database, monkeypatch
):
    monkeypatch.setattr(batched_cursor, "ROWS", 3 * batch)
    monkeypatch.setattr(batched_cursor, "BATCH", batch)
    view = batched_cursor.async_for
    rows = rows_between_beats(batched_cursor, view, request_, monkeypatch)
    assert rows == [batch] * 3


def test_cursor_holds_less_than_a_tenth_of_what_fetchall_holds(request_, database, monkeypatch):
    monkeypatch.setattr(batched_cursor, "ROWS", 40_000)

    def most_held(view):
        async def main():
            await (await resources.async_pool()).wait()
            tracemalloc.start()
            try:
                response = await view(request_)
                return tracemalloc.get_traced_memory()[1], response.content
            finally:
                tracemalloc.stop()

        return run(main())

    all_at_once, answer = most_held(batched_cursor.async_fetchall)
    assert most_held(batched_cursor.async_for) < (all_at_once / 10, answer)
