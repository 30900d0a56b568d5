"""Backends of PostgreSQL, counted; servers as `compare` starts them; views without a server."""

import asyncio
import json
import threading
from contextlib import contextmanager

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import connections

from comparisons import resources
from loadtests import servers
from project.deployments import DEPLOYMENTS
from tests.clients import get_many

BUSY = "state <> 'idle'"  # in a query, or in a transaction
ASLEEP = "state = 'active' AND query LIKE '%%pg_sleep%%'"


def backends(postgres, name, condition="true"):
    """The process ids of those with this application name."""
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND "
    return {pid for (pid,) in postgres.execute(query + condition, [name])}


@contextmanager
def server_of(module, variant, **environ):
    """A server as `compare` starts it for this variant, and the path of the variant."""
    declared = next(v for v in module.comparison.variants if v.name == variant)
    deployment = DEPLOYMENTS[declared.deployment].shaped(database=declared.database)
    of_variant = {key: value.replace("{row}", "31") for key, value in declared.environ.items()}
    with servers.serving([deployment], [of_variant | environ]) as (server,):
        yield server, path_of(module, variant)


def path_of(module, variant):
    return f"/{module.comparison.slug}/{variant}/"


def most_asleep(server, path, postgres, count):
    """How many of its backends sleep at once while `count` clients ask at once."""
    asking = threading.Thread(
        target=get_many, args=(server, path, count), kwargs={"at_once": count}
    )
    asking.start()
    most = 0
    while asking.is_alive():
        most = max(most, len(backends(postgres, server.name, ASLEEP)))
    return most


def run(coroutine):
    """In a loop of its own and, as under Django's ASGI handler, with a thread for the request."""

    async def main():
        async with resources.lasting(), ThreadSensitiveContext():
            try:
                return await coroutine
            finally:
                await sync_to_async(connections.close_all)()

    return asyncio.run(main())


def body_of(view, request):
    if asyncio.iscoroutinefunction(view):
        return json.loads(run(view(request)).content)
    return json.loads(view(request).content)
