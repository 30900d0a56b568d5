"""The servers on which the pairs `servers` and `servers_*` serve their views, one process each."""

from typing import Any

from comparisons.registry import Variant, View

CPU, WAIT = 0.005, 0.05  # seconds that a usual page computes, and that it waits
# Where one request waits, others are served: in threads, in greenlets, or on an event loop.
SYNC = ("sync_threads", "sync_gevent", "sync_granian")
DJANGOS = ("async_uvicorn", "async_gunicorn", "async_granian")  # with Django's own ASGI handler
PLACES = (*SYNC, *DJANGOS, "async_direct")
ONE_SLOT = "sync_one_at_a_time"  # gunicorn's sync worker
DEPLOYMENTS = (
    *("wsgi-threads", "wsgi-gevent", "wsgi-granian"),
    *("asgi-uvicorn", "asgi-gunicorn", "asgi-granian", "asgi-uvicorn-direct"),
)


def many_places(sync: View, async_native: View, **given: Any) -> list[Variant]:
    """Make a variant for each of PLACES. given: what else each of them declares."""
    return [
        Variant(sync if name in SYNC else async_native, deployment, name=name, **given)
        for name, deployment in zip(PLACES, DEPLOYMENTS, strict=True)
    ]
