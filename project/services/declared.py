"""The services that there are."""

import signal
from functools import partial

from project.services import apps, postgres, valkey
from project.services.service import Service

SERVICES = (
    Service(
        name="postgres",
        variable="DATABASE_URL",
        schemes=("postgres", "postgresql"),
        port=5432,
        prepare=postgres.prepare,
        ping=postgres.ping,
        stop_signals=(signal.SIGINT, signal.SIGQUIT),  # fast: SIGTERM waits for the clients
    ),
    Service(
        name="valkey",
        variable="REDIS_URL",
        schemes=("redis", "rediss"),
        port=6379,
        prepare=valkey.prepare,
        ping=valkey.ping,
        stop_signals=(signal.SIGTERM,),
    ),
    Service(
        name="upstream",
        variable="UPSTREAM_URL",
        schemes=("http", "https"),
        port=80,
        prepare=partial(apps.prepare, "comparisons.upstream:app"),
        ping=partial(apps.ping, "/wait/0"),
        stop_signals=(signal.SIGTERM,),
    ),
    Service(
        name="cpu-service",
        variable="CPU_SERVICE_URL",
        schemes=("http", "https"),
        port=80,
        prepare=partial(apps.prepare, "comparisons.cpu_service:app"),
        ping=partial(apps.ping, "/fib/1"),
        stop_signals=(signal.SIGTERM,),
    ),
)
