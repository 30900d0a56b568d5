"""What holds the loops of our own pitfalls: by a line of the view, and nothing of its twins."""

import inspect
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from comparisons.pairs import COMPARISONS
from comparisons.traces import traces_of
from loadtests.running import holding, servers
from loadtests.running.holding import can_look, holds_of, told
from loadtests.running.rows import Row, rows_of
from project.deployments import DEPLOYMENTS
from project.processes import BASE_DIR
from tests.support.rounds import BLOCKING_CALL, PLAN, measured_rounds

ASGI = DEPLOYMENTS["asgi-uvicorn"]
SHORT_MS = 12  # of what holds the loop for less, most is below what counts
QUICK = ("blocking-call", "cpu-bound")
FREE = ("async_native", "async_threaded", "async_process")  # what pitfalls are told to become
TRIES = 10


def blocks(comparison, variant):
    """Tell whether the pair says so: one slot, or a bystander who waits; or its trace."""
    makes_wait = any(
        expectation.metric.startswith("bystander")
        and variant.name in expectation.sides[:1]
        and expectation.at_least is not None
        for expectation in comparison.expectations
    )
    trace = traces_of(comparison).get(variant.name)
    held_ms = trace.held_loop.ms if trace and trace.held_loop else None
    if held_ms is None:
        return variant.slots == 1 or makes_wait
    return held_ms >= SHORT_MS


VARIANTS = [
    (slug, variant)
    for slug, comparison in COMPARISONS.items()
    for variant in comparison.variants
    if variant.is_async and not variant.app and variant.deployment == ASGI.name
]
PITFALLS = [(s, v) for s, v in VARIANTS if v.pitfall and blocks(COMPARISONS[s], v)]
TWINS = [(s, v) for s, v in VARIANTS if v.name in FREE and s in {slug for slug, _ in PITFALLS}]


def params(table):
    return [
        pytest.param(
            *(slug, variant),
            id=f"{slug}-{variant.name}",
            marks=() if slug in QUICK else pytest.mark.long,
        )
        for slug, variant in table
        if not variant.environ
    ]


@pytest.fixture(scope="module")
def server():
    """One for all, that serves every variant."""
    with servers.serving([ASGI]) as (server,):
        yield server


def held_by(server, slug, variant):
    row = Row(variant, ASGI, users=3, route=variant.name)
    return holds_of(slug, row, server)


def held_in_time(server, slug, variant):
    """Of a few looks the first that finds something: a busy machine hides some."""
    return next(filter(None, (held_by(server, slug, variant) for _ in range(TRIES))), [])


def test_table_has_what_pairs_declare_to_block():
    slugs = {slug for slug, _ in PITFALLS}
    assert {*QUICK, "row-loop", "fan-out-many", "async-keyword", "batched-cursor"} <= slugs


@pytest.mark.parametrize(("slug", "variant"), params(PITFALLS))
def test_pitfall_that_holds_the_loop_is_named_by_a_line_of_its_view(slug, variant, server):
    source, first = inspect.getsourcelines(variant.view)
    of_view = range(first, first + len(source))
    found = held_in_time(server, slug, variant)
    assert found
    file = inspect.getfile(variant.view)
    places = [BASE_DIR / hold.place.rpartition(":")[0] for hold in found]
    assert {str(place) for place in places} == {file}
    assert any(hold.line in of_view for hold in found), found
    lines = Path(file).read_text().splitlines()
    assert all(lines[hold.line - 1].strip() == hold.code for hold in found)


@pytest.mark.parametrize(("slug", "variant"), params(TWINS))
def test_twin_of_a_pitfall_holds_nothing(slug, variant, server):
    """What holds the loop does so in every look; what a busy machine does, in one."""
    assert any(held_by(server, slug, variant) == [] for _ in range(TRIES))


def test_waiting_is_told_from_computing(server):
    shares = []
    for slug in QUICK:
        blocking = next(v for s, v in PITFALLS if s == slug)
        hold = held_in_time(server, slug, blocking)[0]
        shares.append(hold.cpu_ms / hold.ms)
    waiting, computing = shares
    assert waiting < computing


def test_rows_on_an_event_loop_have_it_in_their_first_rounds_and_others_have_nothing(generator):
    rows = [r for r in rows_of(BLOCKING_CALL, [], None) if r.variant.name != "async_threaded"]
    plan = replace(PLAN, looks=(1,))
    held = {
        r.variant: r.held for r in measured_rounds(BLOCKING_CALL, generator, plan=plan, rows=rows)
    }
    assert held["sync"] is None
    assert [hold.statement for hold in held["async_blocking"]] == [
        'answer = upstream().get(f"/wait/{WAIT_MS}")'
    ]
    assert held["async_native"] == []


@pytest.mark.parametrize("name", ["wsgi-threads", "asgi-workers"])
def test_nobody_looks_where_there_is_no_loop_or_several_processes(name):
    row = Row(BLOCKING_CALL.variants[0], replace(DEPLOYMENTS[name], workers=2), users=3)
    assert not can_look(row)


SEEN = {"place": "a.py:3", "code": "f()", "calls": "", "cpu_ms": 0, "longest_ms": 20}


@pytest.mark.parametrize(
    ("times", "asked", "counts"), [(1, 3, 0), (2, 3, 1), (3, 12, 0), (4, 12, 1)]
)
def test_what_few_requests_have_met_is_no_finding(times, asked, counts):
    assert len(told([SEEN | {"ms": 60, "times": times}], asked)) == counts


@pytest.mark.parametrize(
    ("times", "of_each"), [(2, (30, 2 / 3)), (3, (20, 1)), (6, (20, 2))], ids=str
)
def test_what_is_told_is_of_each_request_in_which_it_was_seen(times, of_each):
    (hold,) = told([SEEN | {"ms": 60, "times": times}], 3)
    assert (hold.ms, hold.times) == pytest.approx(of_each, rel=1e-5)
    assert hold.longest_ms == 20


def test_server_that_does_not_tell_is_none():
    dead = servers.Running(ASGI, 1, "nonce", None, None, {})
    assert holding._held(dead, "begin") is None


def test_server_loads_the_watch_only_when_it_is_asked_to():
    code = (
        "import django, sys; django.setup(); import project.urls;"
        "print('project.inside.advised.loop' in sys.modules)"
    )
    environ = os.environ | {
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "DEPLOYMENT": ASGI.name,
        "DEPLOYMENT_NONCE": "1",
        "SERVED": "blocking-call/async_native",
    }
    said = subprocess.check_output([sys.executable, "-c", code], cwd=BASE_DIR, env=environ)
    assert said == b"False\n"
