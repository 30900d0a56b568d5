"""Where the money is when a view moves it, alone, cancelled and a thousand times."""

import asyncio

import pytest

from comparisons.pairs import transactions
from tests.plugin import accounts_alone
from tests.support.clients import asked, get_many, loop_until, until
from tests.support.postgres import APPLICATION, BUSY, backends, body_of, run, server_of


@pytest.fixture
def accounts():
    with accounts_alone():
        yield


@pytest.fixture
def two_accounts(postgres, monkeypatch, accounts):
    """A function: what they have gained. The views move between these two."""
    pair = 999, 1000
    monkeypatch.setattr(transactions, "PAIRS", iter([pair]))

    def balances():
        query = "SELECT balance_cents FROM comparisons_account WHERE id IN (%s, %s) ORDER BY id"
        return [cents for (cents,) in postgres.execute(query, pair)]

    before = balances()
    yield lambda: [now - then for now, then in zip(balances(), before, strict=True)]
    update = "UPDATE comparisons_account SET balance_cents = %s WHERE id = %s"
    for cents, account in zip(before, pair, strict=True):
        postgres.execute(update, [cents, account])


@pytest.mark.parametrize("variant", transactions.comparison.variants, ids=lambda v: v.name)
def test_every_variant_moves_the_money(variant, request_, database, two_accounts):
    body_of(variant.view, request_)
    assert two_accounts() == [-1, 1]


@pytest.mark.parametrize(
    ("view", "moved"),
    [
        (transactions.async_two_calls, [-1, 0]),  # gone
        (transactions.async_atomic, [-1, 1]),  # nothing stops a thread
        (transactions.async_native, [0, 0]),
    ],
)
def test_what_is_left_of_a_view_that_is_cancelled_in_the_middle(
    view, moved, request_, database, postgres, two_accounts, sleep, monkeypatch
):
    monkeypatch.setenv("PGOPTIONS", sleep.options)

    async def main():
        with sleep.held():
            task = asyncio.ensure_future(view(request_))
            await loop_until(sleep.waiting)
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    until(lambda: not backends(postgres, APPLICATION, BUSY))
    assert two_accounts() == moved


def test_nobody_else_sees_the_first_update_before_the_second(
    request_, database, two_accounts, sleep, monkeypatch
):
    monkeypatch.setenv("PGOPTIONS", sleep.options)

    async def main():
        with sleep.held():
            task = asyncio.ensure_future(transactions.async_native(request_))
            await loop_until(sleep.waiting)
            assert two_accounts() == [0, 0]
        await task

    run(main())
    assert two_accounts() == [-1, 1]


CENTS = 100_000  # of each account (migration 0003)
TOTAL = "SELECT sum(balance_cents) FROM comparisons_account"


@pytest.mark.parametrize(
    "variant", ["async_atomic", pytest.param("async_native", marks=pytest.mark.long)]
)
def test_thousand_transfers_lose_no_cent_though_some_are_cancelled(
    variant, postgres, accounts, sleep
):
    before = postgres.execute(TOTAL).fetchone()
    environ = {"POOL_SIZE": "20"} | sleep.environ
    with server_of(transactions, variant, **environ) as (server, path):
        leave_after = transactions.WAIT / 2
        answers = get_many(server, path, 1000, at_once=40, every=10, leave_after=leave_after)
        assert answers == {200: 900, None: 100}
        until(lambda: not backends(postgres, server.name, BUSY))
        assert postgres.execute(TOTAL).fetchone() == before
        assert len(backends(postgres, server.name)) <= 20
        sleep.run_at_once(20, server, path, ask=60)


def test_client_who_leaves_without_a_transaction_takes_money_along(postgres, accounts, sleep):
    before = postgres.execute(TOTAL).fetchone()[0]

    async def leave_in_the_middle(server, path):
        async with asked(server, path):
            await loop_until(sleep.waiting)

    try:
        with server_of(transactions, "async_two_calls", **sleep.environ) as (server, path):
            with sleep.held():
                asyncio.run(leave_in_the_middle(server, path))
                get_many(server, "/bystander/", 1)  # the loop has heard of it when it answers
            until(lambda: not backends(postgres, server.name, BUSY))
            assert postgres.execute(TOTAL).fetchone()[0] == before - transactions.CENTS
    finally:
        postgres.execute(f"UPDATE comparisons_account SET balance_cents = {CENTS}")
