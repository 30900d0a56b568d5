"""How many rows of a queryset are there at once, and how long the event loop is held."""

import asyncio

import pytest
from django.core.exceptions import SynchronousOnlyOperation

from comparisons.pairs import orm_iterator
from tests.support.postgres import body_of, rows_between_beats


@pytest.mark.parametrize("variant", orm_iterator.comparison.variants, ids=lambda v: v.name)
def test_every_way_to_read_reads_the_same_rows(variant, request_, database, monkeypatch):
    monkeypatch.setattr(orm_iterator, "ROWS", 1_000)
    monkeypatch.setattr(orm_iterator, "BATCH", 100)
    assert body_of(variant.view, request_) == body_of(orm_iterator.sync, request_)


@pytest.mark.parametrize(
    ("view", "rows"),
    [(orm_iterator.async_for, [3_000]), (orm_iterator.async_iterator, [1_000] * 3)],
)
def test_loop_runs_after_each_batch_of_aiterator_only(view, rows, request_, database, monkeypatch):
    monkeypatch.setattr(orm_iterator, "ROWS", 3_000)
    monkeypatch.setattr(orm_iterator, "BATCH", 1_000)
    assert rows_between_beats(orm_iterator, view, request_, monkeypatch) == rows


def test_aiterator_of_a_plain_values_list_queries_on_the_loop(database):
    """Why the pair's rows are named tuples; when Django has mended it, they need not be."""
    plain = orm_iterator.Invoice.objects.values_list("id")[:10]

    async def main():
        return [row async for row in plain.aiterator()]

    with pytest.raises(SynchronousOnlyOperation):
        asyncio.run(main())
