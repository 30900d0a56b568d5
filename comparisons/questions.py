"""What people ask most, and the comparisons that answer it: another way into the same index.

From some sixty public threads: Django's tracker and forum, asgiref, uvicorn, gunicorn, psycopg,
redis-py, and projects that moved to ASGI or back.
"""

QUESTIONS = {
    "Why do my connections run out?": [
        "connection-held",
        "sync-under-asgi",
        "persistent-under-asgi",
        "leaked-connections",
        "atomic-requests",
        "pool-size",
        "redis-pool",
    ],
    "Which server, and how many workers and threads?": [
        "servers",
        "servers-trivial",
        "servers-wait",
        "servers-query",
        "servers-cpu",
        "gevent",
        "worker-balance",
        "workers",
        "threads",
        "sync-under-asgi",
    ],
    "Why does sync_to_async hang, or run one call at a time?": [
        "thread-hops",
        "sync-under-asgi",
        "leaked-connections",
        "timeouts",
        "gathered-queries",
    ],
    "What goes on when a client leaves, a call times out, or one of several fails?": [
        "cancelled-requests",
        "timeouts",
        "gathered-tasks",
        "transactions",
    ],
    "What if more comes than the server can do, or Postgres restarts?": [
        "overload",
        "dead-connections",
        "redis-pool",
    ],
    "Can an async view have sessions, users and transactions?": [
        "sessions-and-users",
        "middleware",
        "transactions",
        "atomic-requests",
    ],
    "How do I stream, and what does it hold?": [
        "server-sent-events",
        "streaming-response",
        "copy-and-stream",
        "uploads",
    ],
    "Why does one slow view stall all the others?": [
        "blocking-call",
        "client-per-request",
        "uploads",
        "cpu-bound",
        "django-cache",
    ],
    "Is Django itself slow under ASGI?": ["request-path", "middleware", "many-waiting"],
}
