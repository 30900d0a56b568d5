"""Requests in great number to our handler, in a process of its own: what they leave, as JSON.

    python -m tests.support.soaking {cancelled,lasting} REQUESTS

Two objects, one a line: what there is after the first hundred, and at the end. `threads` are those
of requests, `files` file descriptors, `connections` PostgreSQL's of this process.
"""

import asyncio
import gc
import itertools
import json
import os
import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import django
import psycopg
from django.conf import settings
from django.db import connections
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path

from tests.support.asgi import scope_of

AT_ONCE = 10
FIRST = 100
PATIENCE = 30  # seconds until what is about to end has ended
# Of a hundred requests, how many ask the database: where each opens a connection, few.
WITH_DATABASE = {"none": 2, "pool": 30}


async def nothing(request):
    return HttpResponse()


def sync_nothing(request):
    return HttpResponse()


async def wait(request):
    await asyncio.sleep(0.002)
    return HttpResponse()


def sync_wait(request):
    time.sleep(0.002)
    return HttpResponse()


async def orm(request):
    customer = await customers().aget(pk=1)
    return HttpResponse(customer.name)


def sync_orm(request):
    return HttpResponse(customers().get(pk=1).name)


async def stream(request):
    async def parts():
        for _ in range(5):
            await asyncio.sleep(0.0005)
            yield b"part"

    return StreamingHttpResponse(parts())


async def stream_of_rows(request):
    async def parts():
        async for customer in customers().filter(pk__lte=5).aiterator():
            yield customer.name

    return StreamingHttpResponse(parts())


async def upload(request):
    return HttpResponse(request.body[:1])


def customers():
    from comparisons.models import Customer  # once Django is set up

    return Customer.objects


OF_DATABASE = [orm, sync_orm, stream_of_rows]
VIEWS = [nothing, sync_nothing, wait, sync_wait, stream, upload]
MOSTLY_QUICK = [nothing, nothing, sync_nothing] * 5 + VIEWS
urlpatterns = [path(view.__name__, view) for view in VIEWS + OF_DATABASE]


class Client:
    """A client of one request: it sends a body, and perhaps leaves."""

    def __init__(self, application, view):
        body = b"x" * 5000 if view is upload else b""
        self.incoming = asyncio.Queue()
        self.incoming.put_nowait({"type": "http.request", "body": body})
        self.status = None
        scope = scope_of(f"/{view.__name__}")
        self.task = asyncio.create_task(application(scope, self.incoming.get, self.send))

    async def send(self, message):
        self.status = message.get("status", self.status)
        await asyncio.sleep(0)  # a client that does not read at once

    def leave(self):
        self.incoming.put_nowait({"type": "http.disconnect"})


async def is_answered(application, choice):
    """Ask for a view that is drawn by lot."""
    of_database = choice.random() * 100 < WITH_DATABASE[settings.DATABASE_MODE]
    client = Client(
        application, choice.choice(OF_DATABASE if of_database else VIEWS[:2] * 9 + VIEWS)
    )
    await client.task
    assert client.status == 200, client.status


async def is_left(application, choice):
    """Ask for a view that is drawn by lot, and leave at a moment that is."""
    client = Client(application, choice.choice(VIEWS + OF_DATABASE))
    if choice.random() < 0.5:
        for _ in range(choice.randrange(20)):
            await asyncio.sleep(0)
    else:
        await asyncio.sleep(choice.random() * 0.01)
    client.leave()
    await client.task
    assert client.status in (None, 200), client.status


async def many(one, application, choice, requests):
    """Send so many requests, a few at once."""
    numbers = iter(range(requests))

    async def some():
        for _ in numbers:
            await one(application, choice)

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


def threads_of_requests():
    """Of asgiref's executors; the loop's own, and the pool's, stay."""
    return [t.name for t in threading.enumerate() if t.name.startswith("ThreadPoolExecutor")]


def counted(watcher):
    gc.collect()
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    name = settings.DATABASES["default"]["OPTIONS"]["application_name"]
    return {
        "tasks": len(asyncio.all_tasks()),
        "threads": len(threads_of_requests()),
        "files": len(os.listdir("/proc/self/fd")),
        "connections": watcher.execute(query, [name]).fetchone()[0],
    }


async def settled(watcher, wanted=None):
    """Count until it is what is wanted, or until it has been the same for a second."""
    deadline = time.monotonic() + PATIENCE
    last, since = counted(watcher), time.monotonic()
    while last != wanted and time.monotonic() < min(deadline, since + 1):
        await asyncio.sleep(0.02)
        if (now := counted(watcher)) != last:
            last, since = now, time.monotonic()
    return last


async def soak(one, requests, watcher):
    from project.direct import DirectASGIHandler

    application, choice = DirectASGIHandler(), random.Random(12)
    # The loop's own threads come before the first count.
    with ThreadPoolExecutor(AT_ONCE, "loop") as executor:
        asyncio.get_running_loop().set_default_executor(executor)
        await asyncio.gather(*(asyncio.to_thread(time.sleep, 0.01) for _ in range(AT_ONCE)))
        database = itertools.cycle(OF_DATABASE)
        first = [Client(application, view) for view in itertools.islice(database, FIRST)]
        await asyncio.gather(*(client.task for client in first))
        after_first = await settled(watcher)
        await many(one, application, choice, requests)
        return after_first, await settled(watcher, after_first)


def main(kind, requests):
    django.setup()
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = []
    settings.ALLOWED_HOSTS = ["localhost"]
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 1000
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as watcher:
        one = {"cancelled": is_left, "lasting": is_answered}[kind]
        for counts in asyncio.run(soak(one, int(requests), watcher)):
            print(json.dumps(counts))
    if settings.DATABASE_MODE == "pool":
        connections["default"].close_pool()


if __name__ == "__main__":
    main(*sys.argv[1:])
