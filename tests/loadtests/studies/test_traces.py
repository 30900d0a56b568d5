"""Real servers, traced again, give the places that traces.json says: nobody wrote them by hand."""

import json

import pytest

from comparisons.pairs import COMPARISONS
from comparisons.traces import FILE
from loadtests.studies import traces
from tests.support.commands import python

# One of each kind: blocked loop, threads of three owners, processes, a second loop, children of
# gather, generators of both colours, a greenlet, a middleware, what goes on after its answer.
KINDS = (
    *(
        "blocking-call/async_blocking",
        "threads/async_default_executor",
        "sync-under-asgi/sync_shared_thread",
    ),
    *("cpu-offload/async_process", "cpu-offload/async_service", "workers/async_two_loops"),
    *("gathered-queries/sync_threads", "gathered-queries/async_orm"),
    *("streaming-response/async_sync_iterator", "streaming-response/async_native"),
    *("sync-under-asgi/sync_asgi", "gevent/sync_offloaded", "middleware/async_one"),
    "timeouts/async_threaded",
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


@pytest.fixture(scope="module")
def traced_again():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(traces, "TIMES", 1)
        found = {}
        for keys in traces.batched(KINDS, 7):
            found |= traces.traced(rows(keys), traces.this_run())
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("key", KINDS)
def test_variant_of_each_kind_runs_where_it_ran(key, traced_again):
    assert places(traced_again[key]) == kept(key)


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("slug", COMPARISONS)
def test_every_variant_runs_where_it_ran(slug):
    found = traces.all_traced(COMPARISONS[slug], traces.this_run())
    assert {key: places(entry) for key, entry in found.items()} == {key: kept(key) for key in found}


def test_unknown_comparison_is_refused_in_one_line():
    done = python("-m", "loadtests.studies.traces", "no-such")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
