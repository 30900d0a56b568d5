"""Cursors that are held, or are not, behind a PgBouncer."""

import asyncio

import pytest

from comparisons.pairs import held_cursor
from tests.support.clients import answer, get_many, until
from tests.support.postgres import backends, body_of, path_of, server_of

needs_pgbouncer = pytest.mark.needs("pgbouncer")


@pytest.fixture(scope="module")
def asgi():
    with server_of(held_cursor, "async_native", SERVED="") as (server, _path):
        yield server


@needs_pgbouncer
def test_held_cursor_does_not_survive_its_transaction(asgi):
    path = path_of(held_cursor, "async_held_cursor")

    async def failures():
        answers = await asyncio.gather(*(answer(asgi, path) for _ in range(40)))
        return [body.decode() for status, body in answers if status == 503]

    assert any("invoices" in error for error in until(lambda: asyncio.run(failures())))


@needs_pgbouncer
def test_cursor_inside_of_a_transaction_never_fails(asgi):
    path = path_of(held_cursor, "async_native")
    assert get_many(asgi, path, 100, at_once=40) == {200: 100}


@pytest.mark.parametrize("variant", held_cursor.comparison.variants, ids=lambda v: v.name)
def test_every_variant_answers_alike_without_pgbouncer(variant, request_, database):
    assert body_of(variant.view, request_) == body_of(held_cursor.sync, request_)


@needs_pgbouncer
def test_iterator_of_django_opens_no_cursor_outside_of_a_transaction(postgres):
    with server_of(held_cursor, "sync") as (server, path):
        assert get_many(server, path, 40, at_once=8) == {200: 40}
        assert not backends(postgres, server.name, "query LIKE '%%_django_curs%%'")
