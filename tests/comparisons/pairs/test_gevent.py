"""What greenlets share: the thread. By the order of events, and by counting backends."""

import json
from dataclasses import replace

import psutil
import pytest

from comparisons.pairs import gevent
from loadtests.running import servers
from project.deployments import DEPLOYMENTS
from tests.support.clients import get_many, until
from tests.support.commands import python
from tests.support.postgres import backends, path_of, server_of


def said(*words):
    done = python("-m", "tests.support.greenlets", *words)
    assert done.returncode == 0, done.stdout
    return json.loads(done.stdout)


def threads_of(server):
    (worker,) = psutil.Process(server.process.pid).children()
    return worker.num_threads()


def test_queries_of_greenlets_run_at_once_and_take_no_thread(sleep):
    with server_of(gevent, "sync_gevent", **sleep.environ) as (server, path):
        get_many(server, path, 1)
        threads = threads_of(server)
        sleep.run_at_once(gevent.CROWD, server, path, ask=gevent.CROWD)
        assert threads_of(server) == threads


def test_no_greenlet_runs_while_another_computes():
    events = said("computing", "sync_computing")
    assert events[events.index("begin") + 1] == "end"


def test_greenlets_run_while_a_thread_of_the_hub_computes():
    events = said("computing", "sync_offloaded")
    assert "beat" in events[events.index("begin") : events.index("end")]


def test_a_thread_runs_one_event_loop_at_a_time_and_no_query_beside_it():
    assert said("colours") == [None, "RuntimeError", "SynchronousOnlyOperation"]


@pytest.mark.parametrize(("mode", "left"), [("persistent", True), ("none", False)])
def test_greenlet_leaves_a_persistent_connection_behind(mode, left, postgres):
    """So the deployment refuses that mode."""
    with pytest.raises(ValueError, match="leaves its connection behind"):
        DEPLOYMENTS["wsgi-gevent"].shaped(database="persistent")
    deployment = replace(DEPLOYMENTS["wsgi-gevent"], database=mode)
    with servers.serving([deployment], [{"SERVED": "gevent/sync_gevent"}]) as (server,):
        assert get_many(server, path_of(gevent, "sync_gevent"), 10, at_once=10) == {200: 10}
        if left:  # most of ten: the garbage collector may have come
            assert len(backends(postgres, server.name)) > 5
        else:
            until(lambda: not backends(postgres, server.name))
