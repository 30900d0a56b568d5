"""Run as a script: what greenlets do to one another in a patched process. Prints JSON.

python -m tests.support.greenlets computing sync_computing
python -m tests.support.greenlets colours
"""

from gevent import monkey

if __name__ == "__main__":
    monkey.patch_all()

import asyncio
import json
import sys

import gevent


def computing(view_name: str) -> list[str]:
    """Say what happens while a view of the pair computes and another greenlet beats."""
    from comparisons.pairs import gevent as pair

    events: list[str] = []
    compute = pair.compute

    def recorded(seconds: float) -> None:
        events.append("begin")
        compute(seconds)
        events.append("end")

    pair.compute = recorded
    asking = gevent.spawn(getattr(pair, view_name), None)
    while not asking.ready():
        events.append("beat")
        gevent.sleep(0.001)
    asking.get()
    return events


def colours() -> list[str | None]:
    """Say what becomes of three that ask at once: two async views, and a sync query after them."""
    from asgiref.sync import async_to_sync
    from django.db import connection

    async def view() -> None:
        await asyncio.sleep(0.2)

    def query() -> None:
        connection.ensure_connection()

    asking = [gevent.spawn(one) for one in (async_to_sync(view), async_to_sync(view), query)]
    gevent.joinall(asking)
    return [one.exception and type(one.exception).__name__ for one in asking]


if __name__ == "__main__":
    import django

    sys.stderr.close()  # gevent prints the exceptions that we report
    django.setup()
    name, *arguments = sys.argv[1:]
    print(json.dumps({"computing": computing, "colours": colours}[name](*arguments)))
