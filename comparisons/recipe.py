"""Recipe: an async HTTP client and a psycopg pool, opened with the application and closed with it.

A client or pool belongs to the event loop that opened its sockets. Under ASGI a process has one
loop for its life. Under WSGI, and so under `runserver`, every request to an async view has a loop
of its own: a client that a global (or `functools.cache`) keeps for the next request fails there
with "Event loop is closed". Here each loop has its own, and closes it when it ends.

This file imports nothing of ours. Copy it, and change two lines of asgi.py:

    from .recipe import with_lifespan
    application = with_lifespan(get_asgi_application())

A view says `await async_client().get(url)`, or

    async with (await async_pool()).connection() as conn:
        cursor = await conn.execute("SELECT 1")
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import httpx2  # httpx does the same
from django.db import connections
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

T = TypeVar("T")


# --- An HTTP client


def async_client() -> httpx2.AsyncClient:
    """Return the running event loop's client."""
    return of_running_loop(httpx2.AsyncClient, httpx2.AsyncClient.aclose)


# --- A pool of connections to Django's database


def new_pool() -> AsyncConnectionPool:
    return AsyncConnectionPool(kwargs=connection_parameters(), min_size=1, max_size=20, open=False)


async def async_pool(
    make: Callable[[], AsyncConnectionPool] = new_pool,
) -> "AsyncConnectionPool | NoPool":
    """Return the running event loop's pool; where the loop ends with the request, a NoPool.

    A pool has tasks, which `asyncio.run` cancels and waits for; on Python 3.11 sometimes for ever,
    as its `wait_for` swallows the cancellation (https://github.com/python/cpython/issues/86296).
    """
    if asyncio.get_running_loop() not in _lasting:
        return NoPool()
    pool = of_running_loop(make, AsyncConnectionPool.close)
    await pool.open()  # does nothing if it is open
    return pool


class NoPool:
    """Connects and closes, where a pool would lend."""

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        async with await AsyncConnection.connect(**connection_parameters()) as conn:
            yield conn


def connection_parameters() -> dict[str, Any]:
    """Return psycopg's, from Django's settings; without what only Django understands."""
    parameters = connections["default"].get_connection_params()
    for of_django in ("pool", "server_side_binding", "cursor_factory", "context"):
        parameters.pop(of_django, None)
    return {**parameters, "autocommit": True}


# --- One of each for an event loop

# What was opened in each loop, and the generators that close it.
resources_of: dict[
    asyncio.AbstractEventLoop, dict[Callable[[], Any], tuple[Any, AsyncGenerator[None, None]]]
] = {}
_lasting: set[asyncio.AbstractEventLoop] = set()


def of_running_loop(make: Callable[[], T], close: Callable[[T], Awaitable[None]]) -> T:
    """Return the running event loop's own `make()`, which is closed when the loop ends.

    Before `asyncio.run` closes a loop, it closes the async generators that were started in it. So
    a generator does the closing.
    """
    loop = asyncio.get_running_loop()
    resources = resources_of.setdefault(loop, {})
    if make not in resources:
        resource = make()
        closer = _closed_with_loop(loop, resource, close)
        with suppress(StopIteration):
            closer.__anext__().send(None)  # up to its yield: from here on the loop knows it
        resources[make] = resource, closer
    found: T = resources[make][0]
    return found


async def _closed_with_loop(
    loop: asyncio.AbstractEventLoop, resource: T, close: Callable[[T], Awaitable[None]]
) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        resources_of.pop(loop, None)
        await close(resource)


# --- Closed with the application


@asynccontextmanager
async def lasting() -> AsyncIterator[None]:
    """Close what the running loop has opened, at the end of the block: before its tasks end."""
    loop = asyncio.get_running_loop()
    _lasting.add(loop)
    try:
        yield
    finally:
        _lasting.remove(loop)
        for _resource, closer in list(resources_of.get(loop, {}).values()):
            await closer.aclose()


def with_lifespan(application: Any) -> Any:
    """Return the ASGI application with the lifespan that Django lacks."""

    async def application_with_lifespan(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await application(scope, receive, send)
            return
        await receive()  # lifespan.startup
        async with lasting():
            await send({"type": "lifespan.startup.complete"})
            await receive()  # lifespan.shutdown
        await send({"type": "lifespan.shutdown.complete"})

    return application_with_lifespan
