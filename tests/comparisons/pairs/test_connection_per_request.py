"""What connecting takes, in round trips and in backends."""

import asyncio
import os
from itertools import groupby

import pytest
from psycopg import AsyncConnection

from comparisons.pairs import connection_per_request
from tests.support.clients import get_many, until
from tests.support.postgres import backends, server_of


@pytest.mark.parametrize("variant", ["sync_new", "sync_null_pool", "async_new"])
def test_connection_ends_with_its_request(variant, postgres):
    with server_of(connection_per_request, variant) as (server, path):
        assert get_many(server, path, 5, at_once=1) == {200: 5}
        until(lambda: not backends(postgres, server.name))


@pytest.mark.parametrize(
    "variant", ["sync_persistent", "sync_pool", "async_django_pool", "async_native"]
)
def test_connection_outlives_its_request(variant, postgres):
    with server_of(connection_per_request, variant) as (server, path):
        assert get_many(server, path, 1) == {200: 1}
        first = backends(postgres, server.name)
        assert first
        assert get_many(server, path, 5, at_once=1) == {200: 5}
        assert first <= backends(postgres, server.name)


def test_connecting_takes_several_round_trips_and_a_query_takes_one(postgres):
    spoke, ended = [], None

    async def forward(reader, writer, who):
        while data := await reader.read(65536):
            spoke.append(who)
            writer.write(data)
        writer.close()
        await writer.wait_closed()

    async def accept(reader, writer):
        of_server = await asyncio.open_connection("127.0.0.1", postgres.info.port)
        await asyncio.gather(
            forward(reader, of_server[1], "client"), forward(of_server[0], writer, "postgres")
        )
        ended.set()

    def round_trips():
        """Since the last time."""
        turns = [who for who, _ in groupby(spoke)].count("postgres")
        spoke.clear()
        return turns

    async def main():
        nonlocal ended
        ended = asyncio.Event()
        proxy = await asyncio.start_server(accept, "127.0.0.1", 0)
        port = proxy.sockets[0].getsockname()[1]
        async with proxy:
            url = os.environ["DATABASE_URL"]
            async with await AsyncConnection.connect(url, port=port) as new:
                await new.set_autocommit(True)
                connecting = round_trips()
                await new.execute(connection_per_request.SQL)
                asking = round_trips()
            await ended.wait()
            return connecting, asking

    connecting, asking = asyncio.run(main())
    assert asking == 1
    assert connecting >= 2  # the session's start and the password; TCP's handshake came before
