"""The comparisons, in the order in which they are read: adding one is adding a file and a line."""

from comparisons.loading import load
from comparisons.registry import Comparison

GROUPS = load(
    {
        "What a request costs": ["request_path", "middleware", "sessions_and_users"],
        "What blocks": [
            "blocking_call",
            "logging",
            "print",
            "cpu_bound",
            "row_loop",
            "fan_out_many",
            "fan_out_semaphore",
            "cache",
            "django_cache",
        ],
        "The async keyword": ["async_keyword"],
        "Processes and threads": [
            "workers",
            "many_waiting",
            "threads",
            "thread_hops",
            "gil",
            "cpu_offload",
            "shared_resource",
        ],
        "Asking for concurrency": [
            "sequential_awaits",
            "dependent_awaits",
            "staged_awaits",
            "bounded_concurrency",
            "worker_queue",
        ],
        "What it costs": ["across_requests", "start_up"],
        "Postgres": [
            "connections",
            "connection_per_request",
            "persistent_under_asgi",
            "orm_in_async",
            "orm_iterator",
            "gathered_queries",
            "leaked_connections",
            "pipeline",
            "batched_cursor",
            "batch_size",
            "copy_and_stream",
            "streaming_response",
            "transactions",
            "pool_size",
            "pgbouncer",
            "prepared_statements",
            "held_cursor",
        ],
        "Connections": [
            "connection_held",
            "sync_under_asgi",
            "atomic_requests",
            "dead_connections",
            "redis_pool",
            "client_per_request",
        ],
        "Clients and calls": [
            "timeouts",
            "cancelled_requests",
            "gathered_tasks",
            "server_sent_events",
            "uploads",
        ],
        "Servers": [
            "servers",
            "servers_trivial",
            "servers_wait",
            "servers_query",
            "servers_cpu",
            "gevent",
            "worker_balance",
            "overload",
        ],
    }
)

COMPARISONS: dict[str, Comparison] = {
    module.comparison.slug: module.comparison for group in GROUPS.values() for module in group
}
