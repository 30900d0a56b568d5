"""Backends of PostgreSQL, counted; servers as `compare` starts them; views without a server."""

import asyncio
import json
import os
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import groupby

import psycopg
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.db import connections

from comparisons import limited_roles, resources
from loadtests.running import servers
from project.deployments import DEPLOYMENTS
from project.ports import free_port
from project.processes import dying_with_parent
from project.services import postgres as embedded
from tests.support.clients import PATIENCE, get_many, until

BUSY = "state <> 'idle'"  # in a query, or in a transaction
APPLICATION = settings.DATABASES["default"]["OPTIONS"]["application_name"]  # of this process
# The role of every server of `server_of`: each of pytest's processes has one of its own, for what
# others hold of its few connections would be missing here.
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
LIMITED_ROLE = limited_roles.NAMES[-1 - WORKER]
# pg_stat_activity tells a plain role nothing of what others wait for.
HELD = """
SELECT pid FROM pg_locks
WHERE locktype = 'advisory' AND NOT granted AND classid::bigint << 32 | objid::bigint = %s
"""
SLEEP = """
DROP SCHEMA IF EXISTS {schema} CASCADE;
CREATE SCHEMA {schema};
GRANT USAGE ON SCHEMA {schema} TO PUBLIC;
CREATE FUNCTION {schema}.pg_sleep(seconds double precision) RETURNS void LANGUAGE sql AS
'SELECT pg_advisory_xact_lock_shared({key}); SELECT pg_catalog.pg_sleep(seconds)'
"""


def backends(postgres, name, condition="true"):
    """The process ids of those with this application name."""
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND "
    return {pid for (pid,) in postgres.execute(query + condition, [name])}


@contextmanager
def server_of(module, variant, **environ):
    """A server as `compare` starts it for this variant, and the path of the variant.

    It imports this pair alone, which halves its start; SERVED="" is for who asks for others too.
    """
    declared = next(v for v in module.comparison.variants if v.name == variant)
    deployment = DEPLOYMENTS[declared.deployment].shaped(
        threads=declared.threads, database=declared.database
    )
    number = LIMITED_ROLE.rpartition("_")[2]
    of_variant = {key: value.replace("{row}", number) for key, value in declared.environ.items()}
    of_variant["SERVED"] = f"{module.comparison.slug}/{variant}"
    with servers.serving([deployment], [of_variant | environ]) as (server,):
        yield server, path_of(module, variant)


@contextmanager
def connected(role, count):
    """Hold so many connections of this role, after all others of it are gone."""
    others = "SELECT 1 FROM pg_stat_activity WHERE usename = %s"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as watcher:
        until(lambda: not watcher.execute(others, [role]).fetchone())
    held = []
    try:
        for _ in range(count):
            held.append(psycopg.connect(os.environ["DATABASE_URL"], user=role))
        yield
    finally:
        for one in held:
            one.close()


@contextmanager
def server_with_superuser(folder):
    """A PostgreSQL of one's own below this folder, without the limited roles.

    Yields a connection of its superuser.
    """
    port = free_port()
    command, _ = embedded.prepare(folder, port)
    program, data = command[: command.index("-D")], folder / "cluster/data"
    subprocess.run(
        [*program, "--single", "-D", data, "postgres"],
        input=b"ALTER ROLE postgres LOGIN PASSWORD 'super'",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    url = f"postgres://postgres:super@127.0.0.1:{port}/postgres"
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(
            dying_with_parent(command, signal.SIGINT), stdout=log, stderr=subprocess.STDOUT
        )
    try:
        until(lambda: server.poll() is not None or answers(url))
        with psycopg.connect(url, autocommit=True) as superuser:
            drop_limited_roles(superuser)
            yield superuser
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()


def drop_limited_roles(superuser):
    for role in limited_roles.NAMES:
        superuser.execute(f"DROP ROLE IF EXISTS {role}")


def answers(url):
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def url_of(connection, user, password, database):
    """The address of another role and database of the server of this connection."""
    return f"postgres://{user}:{password}@127.0.0.1:{connection.info.port}/{database}"


def path_of(module, variant):
    return f"/{module.comparison.slug}/{variant}/"


class Sleep:
    """The queries that sleep: a test can hold them, so that none ends before it is seen.

    It holds those of connections that were opened with these PGOPTIONS in the environment.
    """

    def __init__(self, postgres, schema, key):
        self.options = f"-csearch_path={schema},pg_catalog,public"
        self.environ = {"PGOPTIONS": self.options}
        self.postgres, self.key = postgres, key

    @contextmanager
    def held(self):
        """Inside the block no such query ends; yields a function that lets them go earlier."""
        with ExitStack() as stack:
            self.postgres.execute("SELECT pg_advisory_lock(%s)", [self.key])
            stack.callback(self.postgres.execute, "SELECT pg_advisory_unlock(%s)", [self.key])
            yield lambda: stack.pop_all().close()

    def waiting(self):
        """The process ids of the backends whose queries are held."""
        return {pid for (pid,) in self.postgres.execute(HELD, [self.key])}

    def hold_exactly(self, count):
        """Wait until so many are held; they stay as many while others have time to come."""
        until(lambda: len(self.waiting()) == count)
        for _ in range(20):
            assert len(self.waiting()) == count
            time.sleep(0.005)

    def run_at_once(self, count, server, path, ask):
        """Assert that so many queries run at once if `ask` clients ask at once, and all succeed."""
        with ThreadPoolExecutor(1) as clients:
            with self.held():
                asking = clients.submit(get_many, server, path, ask, at_once=ask)
                self.hold_exactly(count)
            assert asking.result() == {200: ask}


@contextmanager
def sleep_at_command(postgres):
    key = os.getpid() + 2**32  # no other process of the tests has it
    schema = f"test_{os.getpid()}"
    postgres.execute(SLEEP.format(schema=schema, key=key))
    try:
        yield Sleep(postgres, schema, key)
    finally:
        postgres.execute(f"DROP SCHEMA {schema} CASCADE")


def ask_a_thousand_times(postgres, server, path, leave_after):
    """Ask, leave every tenth time before the answer, and wait until no backend is busy."""
    answers = get_many(server, path, 1000, every=10, leave_after=leave_after)
    assert answers == {200: 900, None: 100}
    until(lambda: not backends(postgres, server.name, BUSY))


def in_queries(module, monkeypatch, together):
    """Return the events of queries, each of which ends when `together` of them have begun.

    A little later, so that more can begin, if they do not wait for each other.
    """
    events, lock, enough = [], threading.Lock(), threading.Event()

    def query(number):
        with lock:
            events.append("begin")
            if events.count("begin") >= together:
                enough.set()
        assert enough.wait(PATIENCE)
        time.sleep(0.02)
        with lock:
            events.append("end")
        return number

    monkeypatch.setattr(module, "query", query)
    return events


async def while_the_loop_beats(awaitable, events):
    """Return its result; until it is there, the loop appends "beat" whenever it may run."""
    task = asyncio.ensure_future(awaitable)
    while not task.done():
        events.append("beat")
        await asyncio.sleep(0)
    return task.result()


def rows_between_beats(module, view, request, monkeypatch):
    """Return how many rows the view deals with each time that it holds the loop."""
    events = []
    crc32 = module.crc32

    def recorded(*args):
        events.append("row")
        return crc32(*args)

    monkeypatch.setattr(module, "crc32", recorded)
    run(while_the_loop_beats(view(request), events))
    runs = [(event, len(list(group))) for event, group in groupby(events)]
    return [length for event, length in runs if event == "row"]


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
