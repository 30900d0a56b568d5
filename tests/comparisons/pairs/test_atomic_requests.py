"""What a request has locked while it waits, and what is left of one that fails."""

import asyncio

import psycopg
import pytest
from django.db import connections
from django.test import AsyncClient, Client

from comparisons.pairs import atomic_requests
from tests.plugin import accounts_alone
from tests.support.postgres import APPLICATION, backends, path_of

PAIR = [atomic_requests.PAYER, atomic_requests.PAYEE]
LOCK = "SELECT 1 FROM comparisons_account WHERE id = ANY(%s) FOR UPDATE NOWAIT"
READ = "SELECT balance_cents FROM comparisons_account WHERE id = ANY(%s) ORDER BY id"
PUT_BACK = "UPDATE comparisons_account SET balance_cents = %s WHERE id = %s"
COMMITTED = ["sync_committed", "async_committed"]


@pytest.fixture
def moved(postgres, database, monkeypatch):
    """A function: what the two accounts have gained. Each request is a transaction meanwhile."""
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)

    def balances():
        return [cents for (cents,) in postgres.execute(READ, [PAIR])]

    with accounts_alone():
        before = balances()
        yield lambda: [now - then for now, then in zip(balances(), before, strict=True)]
        for account, cents in zip(PAIR, before, strict=True):
            postgres.execute(PUT_BACK, [cents, account])


@pytest.fixture
def upstream(monkeypatch):
    """A function: replace the calls of the upstream, in both colours, by one of this function."""

    def replace(function):
        class Upstream:
            def get(self, path):
                function()

        class AsyncUpstream:
            async def get(self, path):
                function()

        monkeypatch.setattr(atomic_requests, "upstream", Upstream)
        monkeypatch.setattr(atomic_requests, "async_upstream", AsyncUpstream)

    return replace


def status_of(variant):
    """Ask for the variant; what it raises is raised here."""
    path = path_of(atomic_requests, variant)
    if variant.startswith("async"):
        return asyncio.run(AsyncClient().get(path)).status_code
    return Client().get(path).status_code


@pytest.mark.parametrize(
    ("variant", "is_held"),
    [("sync_in_transaction", True), ("sync_committed", False), ("async_committed", False)],
)
def test_rows_are_locked_through_the_wait_where_the_request_is_a_transaction(
    variant, is_held, moved, upstream, postgres
):
    found = []

    def look():
        try:
            postgres.execute(LOCK, [PAIR])
            is_locked = False
        except psycopg.errors.LockNotAvailable:
            is_locked = True
        in_transaction = backends(postgres, APPLICATION, "xact_start IS NOT NULL")
        found.append((is_locked, len(in_transaction), moved()))

    upstream(look)
    assert status_of(variant) == 200
    assert found == [(True, 1, [0, 0]) if is_held else (False, 0, [-1, 1])]
    assert moved() == [-1, 1]


def test_async_view_is_refused(moved, upstream):
    called = []
    upstream(lambda: called.append("upstream"))
    with pytest.raises(RuntimeError, match="cannot use ATOMIC_REQUESTS with async views"):
        status_of("async_refused")
    assert (called, moved()) == ([], [0, 0])


class UpstreamError(Exception):
    pass


@pytest.mark.parametrize(
    ("variant", "left"),
    [("sync_in_transaction", [0, 0]), ("sync_committed", [-1, 1]), ("async_committed", [-1, 1])],
)
def test_what_fails_afterwards_undoes_only_what_is_in_its_transaction(
    variant, left, moved, upstream
):
    def fail():
        raise UpstreamError

    upstream(fail)
    with pytest.raises(UpstreamError):
        status_of(variant)
    assert moved() == left


@pytest.mark.parametrize("variant", COMMITTED)
def test_money_moves_as_a_whole_without_the_requests_transaction(variant, moved, monkeypatch):
    monkeypatch.setattr(atomic_requests, "PAYEE", "nobody")  # the second write fails
    with pytest.raises(ValueError, match="nobody"):
        status_of(variant)
    assert moved() == [0, 0]
