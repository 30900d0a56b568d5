"""What views share: a client a process for sync code, one of each an event loop for async code.

How the async ones are opened and closed, and how to have that in a project of one's own, is in
`comparisons/recipe.py`; this file adds this project's addresses and limits.
"""

import atexit
from collections.abc import Callable
from functools import cache, wraps
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

import httpx2
from django.conf import settings
from django.db import connection
from psycopg_pool import (
    AsyncConnectionPool,
    AsyncNullConnectionPool,
    ConnectionPool,
    NullConnectionPool,
)

from comparisons import recipe
from comparisons.recipe import NoPool, of_running_loop
from comparisons.recipe import lasting as lasting  # for the ASGI application

if TYPE_CHECKING:  # most of the servers that are measured need no Redis: it is a tenth of a start
    import redis.asyncio

T = TypeVar("T")
P = TypeVar("P", bound=ConnectionPool)

# Alike on both sides. The default (100 connections, 20 kept alive) would be a hidden limit.
LIMITS = httpx2.Limits(max_connections=1000, max_keepalive_connections=1000)
TIMEOUT = httpx2.Timeout(60)
# Each client says trust_env=False: a proxy of the environment is not for services of this machine.

POOL_COUNTERS = ("requests_num", "requests_wait_ms")
_sync_pools: list[ConnectionPool] = []


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
    """Return the sync client of the upstream: one a process, shared by its threads."""
    client = httpx2.Client(
        base_url=settings.UPSTREAM_URL, limits=LIMITS, timeout=TIMEOUT, trust_env=False
    )
    atexit.register(client.close)
    return client


def async_upstream() -> httpx2.AsyncClient:
    """Return the async client of the upstream: one an event loop (see comparisons/recipe.py)."""
    return of_running_loop(_open_client, httpx2.AsyncClient.aclose)


@once
def redis_client() -> "redis.Redis":
    """Return the sync client of Redis or Valkey: one a process, shared by its threads."""
    import redis

    client = redis.Redis.from_url(settings.REDIS_URL)
    atexit.register(client.close)
    return client


def async_redis() -> "redis.asyncio.Redis":
    """Return the async client of Redis: one an event loop (see comparisons/recipe.py)."""
    return of_running_loop(_open_redis, _close_redis)


@once
def pool() -> ConnectionPool:
    """Return psycopg's sync pool: one a process, shared by its threads, as large as Django's own.

    PgBouncer keeps connections itself: in front of it, the pool keeps none.
    """
    return null_pool() if settings.DATABASE_MODE == "pgbouncer" else _open_pool(ConnectionPool)


@once
def null_pool() -> NullConnectionPool:
    """Return the same, but it keeps no connection unless somebody waits for one."""
    return _open_pool(NullConnectionPool, min_size=0)


async def async_pool() -> AsyncConnectionPool | NoPool:
    """Return psycopg's async pool: one an event loop, as large as Django's own pool.

    In a loop that lasts for a request only there is nothing to keep: a connection for each use. See
    comparisons/recipe.py.
    """
    return await recipe.async_pool(_new_pool)


def pool_counters() -> dict[str, int]:
    """Return what this process's pools count, Django's and psycopg's own: see its `get_stats`."""
    of_loops = [found for made in list(recipe.resources_of.values()) for found, _ in made.values()]
    pools = [found for found in of_loops if isinstance(found, AsyncConnectionPool)]
    of_django = getattr(connection, "pool", None)  # PostgreSQL only
    stats = [found.get_stats() for found in (of_django, *_sync_pools, *pools) if found]
    return {name: sum(found.get(name, 0) for found in stats) for name in POOL_COUNTERS}


def _open_client() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        base_url=settings.UPSTREAM_URL, limits=LIMITS, timeout=TIMEOUT, trust_env=False
    )


def _open_redis() -> "redis.asyncio.Redis":
    import redis.asyncio

    return redis.asyncio.Redis.from_url(settings.REDIS_URL)


async def _close_redis(client: "redis.asyncio.Redis") -> None:
    await client.aclose()


def _open_pool(kind: type[P], min_size: int = 1) -> P:
    opened = kind(
        kwargs=recipe.connection_parameters(),
        min_size=min_size,
        max_size=settings.POOL_SIZE,
        timeout=settings.POOL_TIMEOUT,
        check=kind.check_connection if settings.CONN_HEALTH_CHECKS else None,
        open=True,
    )
    atexit.register(opened.close)
    _sync_pools.append(opened)
    return opened


def _new_pool() -> AsyncConnectionPool:
    # PgBouncer keeps connections; a null pool keeps none.
    bounced = settings.DATABASE_MODE == "pgbouncer"
    kind: type[AsyncConnectionPool] = AsyncNullConnectionPool if bounced else AsyncConnectionPool
    return kind(
        kwargs=recipe.connection_parameters(),
        min_size=0 if bounced else 1,
        max_size=settings.POOL_SIZE,
        timeout=settings.POOL_TIMEOUT,
        check=kind.check_connection if settings.CONN_HEALTH_CHECKS else None,
        open=False,
    )
