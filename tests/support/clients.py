"""Clients that ask a server, many at once, and may leave before it answers."""

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager

PATIENCE = 60  # seconds; only what is broken takes so long
# What a server is told that nobody asks for a view: it imports one pair alone, and starts sooner.
SMALL = {"SERVED": "blocking-call/sync"}


def until(condition):
    """Wait until it is true; fail if that never comes."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return found


async def loop_until(condition):
    """The same, while the event loop runs."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)
    return found


@asynccontextmanager
async def asked(server, path):
    """The answer's stream; the client leaves with the block, whatever it has read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        yield reader
    finally:
        writer.close()


async def answer(server, path):
    """Status and body."""
    async with asked(server, path) as reader:
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        return int(head.split(None, 2)[1]), body


async def left(server, path, after):
    async with asked(server, path):
        await asyncio.sleep(after)


def get_many(server, path, count, *, at_once=20, every=None, leave_after=0.0):
    """Statuses and how many there were of each; every so-manyth client leaves."""

    async def main():
        places = asyncio.Semaphore(at_once)

        async def one(number):
            async with places:
                if every and number % every == 0:
                    return await left(server, path, leave_after)
                status, _ = await answer(server, path)
                return status

        return Counter(await asyncio.gather(*(one(number) for number in range(count))))

    return asyncio.run(main())
