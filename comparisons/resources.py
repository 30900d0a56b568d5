"""What views share: one HTTP client a process, and one of each async resource an event loop.

An async client or pool belongs to the loop that opened its sockets; used from another loop it fails
or hangs. Under ASGI a process has one loop for its life; under WSGI every async view gets a loop of
its own, and what is opened in it must be closed before it ends. A client's loop sees to that. A
pool has tasks, which `asyncio.run` cancels and waits for, on Python 3.11 sometimes for ever (its
`wait_for` swallows the cancellation, https://github.com/python/cpython/issues/86296). There is
none.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache, wraps
from threading import Lock
from typing import Any, TypeVar

import httpx2
import redis
import redis.asyncio
from django.conf import settings
from django.db import connection, connections
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, AsyncNullConnectionPool

T = TypeVar("T")

# Alike on both sides. The default (100 connections, 20 kept alive) would be a hidden limit.
LIMITS = httpx2.Limits(max_connections=1000, max_keepalive_connections=1000)
TIMEOUT = httpx2.Timeout(60)
# Each client says trust_env=False: a proxy of the environment is not for services of this machine.

_by_loop: dict[
    asyncio.AbstractEventLoop, dict[Callable[[], Any], tuple[Any, AsyncGenerator[None, None]]]
] = {}
POOL_COUNTERS = ("requests_num", "requests_queued", "requests_wait_ms")
_lasting: set[asyncio.AbstractEventLoop] = set()


def once(make: Callable[[], T]) -> Callable[[], T]:
    """Cache what `make` returns, for threads that come together too: only one of them makes it."""
    cached, lock = cache(make), Lock()

    @wraps(make)
    def get() -> T:
        with lock:
            return cached()

    return get


@once
def upstream() -> httpx2.Client:
    """The sync client of the upstream: one a process, shared by its threads."""
    return httpx2.Client(
        base_url=settings.UPSTREAM_URL, limits=LIMITS, timeout=TIMEOUT, trust_env=False
    )


def async_upstream() -> httpx2.AsyncClient:
    """The async client of the upstream: one an event loop."""
    return of_running_loop(_open_client, httpx2.AsyncClient.aclose)


@once
def redis_client() -> redis.Redis:
    """The sync client of Redis or Valkey: one a process, shared by its threads."""
    return redis.Redis.from_url(settings.REDIS_URL)


def async_redis() -> redis.asyncio.Redis:
    """The async client of Redis or Valkey: one an event loop."""
    return of_running_loop(_open_redis, redis.asyncio.Redis.aclose)


async def async_pool() -> "AsyncConnectionPool | NoPool":
    """psycopg's async connection pool: one an event loop, as large as Django's own pool.

    In a loop that lasts for a request only there is nothing to keep: a connection for each use.
    """
    if asyncio.get_running_loop() not in _lasting:
        return NoPool()
    pool = of_running_loop(_new_pool, AsyncConnectionPool.close)
    await pool.open()  # does nothing if it is open
    return pool


class NoPool:
    """Connects and closes, where a pool would lend."""

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        async with await AsyncConnection.connect(**_parameters()) as new:
            yield new


def pool_counters() -> dict[str, int]:
    """What this process's pools count, Django's and psycopg's own: see `get_stats` of psycopg."""
    of_loops = [found for made in list(_by_loop.values()) for found, _closer in made.values()]
    pools = [pool for pool in of_loops if isinstance(pool, AsyncConnectionPool)]
    of_django = getattr(connection, "pool", None)  # PostgreSQL only
    stats = [pool.get_stats() for pool in (of_django, *pools) if pool]
    return {name: sum(found.get(name, 0) for found in stats) for name in POOL_COUNTERS}


@asynccontextmanager
async def lasting() -> AsyncIterator[None]:
    """Around the life of an event loop that serves many requests; closes what they have opened."""
    loop = asyncio.get_running_loop()
    _lasting.add(loop)
    try:
        yield
    finally:
        _lasting.remove(loop)
        for _resource, closer in list(_by_loop.get(loop, {}).values()):
            await closer.aclose()


def _open_client() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        base_url=settings.UPSTREAM_URL, limits=LIMITS, timeout=TIMEOUT, trust_env=False
    )


def _open_redis() -> redis.asyncio.Redis:
    return redis.asyncio.Redis.from_url(settings.REDIS_URL)


def _new_pool() -> AsyncConnectionPool:
    # PgBouncer keeps connections; a null pool keeps none.
    bounced = settings.DATABASE_MODE == "pgbouncer"
    kind: type[AsyncConnectionPool] = AsyncNullConnectionPool if bounced else AsyncConnectionPool
    return kind(
        kwargs=_parameters(),
        min_size=0 if bounced else 1,
        max_size=settings.POOL_SIZE,
        timeout=settings.POOL_TIMEOUT,
        open=False,
    )


def _parameters() -> dict[str, Any]:
    """psycopg's, from the settings of Django's database; without what only Django understands."""
    parameters = connections["default"].get_connection_params()
    for of_django in ("pool", "server_side_binding", "cursor_factory", "context"):
        parameters.pop(of_django, None)
    return {**parameters, "autocommit": True}


def of_running_loop(make: Callable[[], T], close: Callable[[T], Awaitable[None]]) -> T:
    """The running loop's own `make()`, closed when the loop ends.

    Where the loop is not `lasting` (under WSGI), it does that itself: before `asyncio.run` closes a
    loop, it closes the async generators that were started in it. So a generator does the closing.
    """
    loop = asyncio.get_running_loop()
    resources: dict[Any, Any] = _by_loop.setdefault(loop, {})
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
        _by_loop.pop(loop, None)
        await close(resource)
