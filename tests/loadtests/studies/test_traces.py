"""Real servers, traced again, give the places that traces.json says: nobody wrote them by hand."""

import json

import pytest

from comparisons.pairs import COMPARISONS
from comparisons.traces import FILE
from loadtests.studies import traces
from tests.support.commands import python

# One of each kind: a blocked loop, a thread, a process, a generator.
KINDS = (
    "blocking-call/async_blocking",
    "gathered-queries/async_orm",
    "cpu-offload/async_process",
    "streaming-response/async_native",
)
# Threads of other owners, a second loop, children of gather, a generator of the other colour, a
# greenlet, a middleware, what goes on after its answer.
MORE_KINDS = (
    *("threads/async_default_executor", "sync-under-asgi/sync_shared_thread"),
    *("cpu-offload/async_service", "workers/async_two_loops", "gathered-queries/sync_threads"),
    *("streaming-response/async_sync_iterator", "sync-under-asgi/sync_asgi"),
    *("gevent/sync_offloaded", "middleware/async_one", "timeouts/async_threaded"),
)


def places(entry):
    return {tuple(part[:4]) for part in entry["parts"]}


def kept(key):
    return places(json.loads(FILE.read_text())["traces"][key])


def rows(keys):
    found = {}
    for key in keys:
        found[key] = traces.rows_to_trace(COMPARISONS[key.partition("/")[0]])[key]
    return found


def traced_again(keys):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(traces, "TIMES", 1)
        return traces.traced(rows(keys), traces.this_run())


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "keys", [KINDS, *(pytest.param(MORE_KINDS[n:][:5], marks=pytest.mark.long) for n in (0, 5))]
)
def test_variant_of_each_kind_runs_where_it_ran(keys):
    found = traced_again(keys)
    assert {key: places(found[key]) for key in keys} == {key: kept(key) for key in keys}


def test_unknown_comparison_is_refused_in_one_line():
    done = python("-m", "loadtests.studies.traces", "no-such")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
