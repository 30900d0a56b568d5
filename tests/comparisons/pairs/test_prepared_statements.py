"""Statements that are prepared, or are not, behind a PgBouncer."""

import asyncio

import pytest

from comparisons.pairs import prepared_statements
from tests.support.clients import answer, get_many, until
from tests.support.postgres import body_of, path_of, server_of

needs_pgbouncer = pytest.mark.needs("pgbouncer")


@pytest.fixture(scope="module")
def asgi():
    with server_of(prepared_statements, "async_unprepared", SERVED="") as (server, _path):
        yield server


@needs_pgbouncer
def test_prepared_statement_does_not_survive_its_transaction(asgi):
    path = path_of(prepared_statements, "async_prepared")

    async def failures():
        answers = await asyncio.gather(*(answer(asgi, path) for _ in range(40)))
        return [body.decode() for status, body in answers if status == 503]

    assert any("prepared statement" in error for error in until(lambda: asyncio.run(failures())))


@needs_pgbouncer
def test_statements_that_are_not_prepared_never_fail(asgi):
    path = path_of(prepared_statements, "async_unprepared")
    assert get_many(asgi, path, 100, at_once=40) == {200: 100}


@needs_pgbouncer
def test_statements_that_are_not_prepared_never_fail_in_threads():
    with server_of(prepared_statements, "sync") as (server, path):
        assert get_many(server, path, 100, at_once=40) == {200: 100}


@pytest.mark.parametrize("variant", prepared_statements.comparison.variants, ids=lambda v: v.name)
def test_every_variant_answers_alike_without_pgbouncer(variant, request_, database):
    assert body_of(variant.view, request_) == body_of(prepared_statements.sync, request_)
