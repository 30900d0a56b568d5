"""Every combination of options chooses rows that can be measured, or is refused in one line."""

import re
from dataclasses import replace
from functools import cache
from itertools import product

import pytest
from django.core.management.base import CommandError

from comparisons.pairs import COMPARISONS
from loadtests.judging.declared import Declared
from loadtests.reporting.terminal import detail
from loadtests.running import selection
from loadtests.running.selection import choose
from project.deployments import DATABASE_MODES, DEPLOYMENTS
from project.services import pgbouncer
from tests.support.commands import here

DEFAULTS = {
    **{"slugs": [], "deployment": [], "users": None, "round_trip": None, "rate": None},
    **{"workers": None, "threads": None, "database": None, "quick": False, "null": False},
}
SHAPES = [{}, {"workers": 2}, {"threads": 3}, {"workers": 2, "threads": 3}]
LOADS = [
    *({}, {"quick": True}, {"null": True}, {"rate": 50.0}),
    *({"users": 3}, {"users": 10_000, "quick": True}, {"round_trip": 7.5}),
]


def chosen(**options):
    """The choice, which can be listed and started; None where it is refused in one line."""
    refused = None
    try:
        choice = choose(DEFAULTS | options)
    except CommandError as error:
        refused = error
    if refused:
        assert refused.returncode == 2
        assert str(refused)
        assert "\n" not in str(refused)
        return None
    for comparison, rows in choice.rows:
        assert rows
        for row in rows:
            assert row.deployment.argv(8000)
        served = tuple((row.variant.name, row.deployment.name) for row in rows)
        assert is_listed(Declared.of(comparison), served, comparison.met_under)
    return choice


@cache  # most options change neither what is declared nor where it is served
def is_listed(declared, served, met_under):
    return bool(list(detail(declared, served, met_under, width=80)))


@pytest.mark.parametrize("name", [None, *DEPLOYMENTS])
@pytest.mark.parametrize("database", [None, *DATABASE_MODES])
def test_every_comparison_is_chosen_or_refused_on_every_deployment(name, database, monkeypatch):
    monkeypatch.setattr(pgbouncer, "why_missing", lambda: "")  # as where it is installed
    deployment = [name] if name else []
    for slug, shape in product(COMPARISONS, SHAPES):
        options = {"slugs": [slug], "deployment": deployment, "database": database}
        choice = chosen(**options | shape)
        fits = name is None or DEPLOYMENTS[name].can_fork or "workers" not in shape
        fits = fits and (name is None or DEPLOYMENTS[name].can_thread or "threads" not in shape)
        fits = fits and (name, database) != ("wsgi-gevent", "persistent")
        assert (choice is not None) == (fits and (slug, name) not in CANNOT)


# Their one sync variant declares how many threads it has, which is their question.
WITH_THREADS = (
    *("many-waiting", "persistent-under-asgi", "sync-under-asgi"),
    *("server-sent-events", "cancelled-requests", "dead-connections"),
)
SOME_WITH_THREADS = (*WITH_THREADS, "overload", "gevent")  # among their sync variants
SOME_WITH_MORE = (*SOME_WITH_THREADS, "uploads", "worker-balance")  # one thread, or processes
NO_RATE = ("many-waiting", "server-sent-events", "cancelled-requests")  # who waits, who leaves
CANNOT = set(product(WITH_THREADS, ("wsgi-sync", "wsgi-gevent", "runserver")))
CANNOT |= {("worker-balance", "runserver")}


@pytest.mark.parametrize("name", [None, *DEPLOYMENTS])
@pytest.mark.parametrize("load", LOADS, ids=str)
def test_every_comparison_is_chosen_or_refused_under_every_load(name, load):
    for slug in COMPARISONS:
        choice = chosen(slugs=[slug], deployment=[name] if name else [], **load)
        other = ("rate" in load and slug in NO_RATE) or ("users" in load and slug == "overload")
        assert (choice is None) == (other or (slug, name) in CANNOT)


def test_only_users_who_wait_may_be_more_than_ten_thousand():
    asked = {"slugs": ["many-waiting", "blocking-call"], "users": 50_000}
    choice = chosen(**asked)
    assert [comparison.slug for comparison, _ in choice.rows] == ["many-waiting"]
    assert any(
        why.startswith("blocking-call ") and "10,000 users at most: more can only wait" in why
        for why in choice.left_out
    )


@pytest.mark.parametrize(
    ("arguments", "slugs"),
    [
        (["--deployment", "wsgi-sync"], SOME_WITH_THREADS),
        (
            ["--deployment", "runserver", "--database", "pool", "--quick"],
            SOME_WITH_MORE,
        ),
        (["--rate", "20", "--workers", "2", "--null"], NO_RATE),
    ],
)
def test_list_says_what_is_left_out_and_why(arguments, slugs):
    done = here("compare", "--list", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    left_out = [line for line in done.stdout.splitlines() if "left out" in line]
    assert {re.match(r"[\w-]+", line)[0] for line in left_out} == {*slugs}
    assert "\n  blocking-call " in done.stdout


def test_variant_that_a_deployment_cannot_have_leaves_the_others():
    choice = chosen(slugs=["many-waiting"], deployment=["wsgi-sync", "asgi-uvicorn"])
    ((_, rows),) = choice.rows
    assert {row.deployment.name for row in rows} == {"asgi-uvicorn"}
    assert choice.left_out == [
        "many-waiting/sync is left out: it declares 1000 threads, and wsgi-sync has no threads"
        " to set",
        "many-waiting/async_direct is left out: its handler is the question, and asgi-uvicorn has"
        " another",
    ]


def test_gevent_has_neither_async_views_nor_persistent_connections():
    ((_, rows),) = (choice := chosen(slugs=["shared-resource"], deployment=["wsgi-gevent"])).rows
    assert {row.variant.name for row in rows} == {"sync"}
    why = DEPLOYMENTS["wsgi-gevent"].why_not_async
    assert choice.left_out == [
        f"shared-resource/{name} is left out: it is an async view, and wsgi-gevent serves none:"
        f" {why}"
        for name in ("async_shared_client", "async_loop_per_request")
    ]
    (line,) = chosen(slugs=["connections"], deployment=["wsgi-gevent"]).left_out
    assert line.startswith(
        "connections/sync_persistent is left out: it declares persistent database mode, and"
        " wsgi-gevent has no persistent connections: a greenlet"
    )


def test_persistent_connections_that_no_deployment_can_have_are_refused():
    options = {"slugs": ["connections"], "database": "persistent"}
    assert refusal(**options, deployment=["wsgi-gevent"]).startswith(
        "wsgi-gevent has no persistent connections: a greenlet"
    )
    ((_, rows),) = chosen(**options, deployment=["wsgi-gevent", "wsgi-threads"]).rows
    assert {row.deployment.name: row.deployment.database for row in rows}["wsgi-threads"] == (
        "persistent"
    )


@pytest.mark.parametrize(
    ("names", "direct", "stock"),
    [
        (["asgi-granian"], set(), {"asgi-granian"}),
        (["asgi-granian-direct"], {"asgi-granian-direct"}, set()),
        (["asgi-granian", "asgi-granian-direct"], {"asgi-granian-direct"}, {"asgi-granian"}),
    ],
)
def test_variant_keeps_its_handler_where_that_is_the_question(names, direct, stock):
    """With the other one, `async_direct` would be `async_stock`, and its claim refuted."""
    choice = chosen(slugs=["request-path"], deployment=names)
    ((_, rows),) = choice.rows

    def deployments_of(variant):
        return {row.deployment.name for row in rows if row.variant.name == variant}

    assert deployments_of("async_direct") == direct
    assert deployments_of("async_stock") == stock
    left = [line for line in choice.left_out if "its handler is the question" in line]
    assert any("async_stock " in line for line in left) == ("asgi-granian-direct" in names)
    assert deployments_of("async_plain") == set(names)  # it has none of Django's


def test_any_comparison_can_have_our_handler_where_it_is_no_question():
    ((_, rows),) = chosen(slugs=["blocking-call"], deployment=["asgi-uvicorn-direct"]).rows
    assert {row.deployment.name for row in rows} == {"asgi-uvicorn-direct"}


def refusal(**options):
    with pytest.raises(CommandError) as refused:
        choose(DEFAULTS | options)
    return str(refused.value)


def test_nothing_that_is_left_is_refused():
    said = refusal(slugs=["many-waiting"], deployment=["wsgi-sync"])
    assert said.startswith("nothing to measure: many-waiting/sync is left out: it declares 1000")


def test_open_loop_of_requests_that_only_wait_is_refused():
    assert "its requests only wait" in refusal(slugs=["many-waiting"], rate=5.0)


def test_quick_run_of_crowds_only_is_refused(monkeypatch):
    crowd = replace(COMPARISONS["blocking-call"], users=500, expectations=[])
    monkeypatch.setitem(selection.COMPARISONS, "blocking-call", crowd)
    assert "a quick run has at most 100 users" in refusal(slugs=["blocking-call"], quick=True)
    assert chosen(slugs=["blocking-call"], quick=True, users=500).left_out == []


def test_comparison_without_a_variant_for_the_deployment_is_refused(monkeypatch):
    whole = COMPARISONS["blocking-call"]
    asgi = [variant for variant in whole.variants if variant.is_async]
    names = {variant.name for variant in asgi}
    small = replace(
        whole,
        variants=asgi,
        expectations=[
            e for e in whole.expectations if {e.variant, e.of} <= {*names, "wait", "ceiling"}
        ],
    )
    monkeypatch.setitem(selection.COMPARISONS, "blocking-call", small)
    said = refusal(slugs=["blocking-call"], deployment=["wsgi-threads"])
    assert "it has no variant for wsgi-threads" in said


# --- What is not judged


def judged(slug, **options):
    """The expectations that are, as text, and the line about those that are not."""
    choice = chosen(slugs=[slug], **options)
    ((comparison, rows),) = choice.rows
    users = comparison.cases[0][0]
    assert {row.variant.name for row in rows} == {v.name for v in COMPARISONS[slug].variants}
    return [e.text(users) for e in comparison.expectations], choice.left_out


def test_expectation_of_another_distance_is_not_judged():
    found, (line,) = judged("cache", round_trip=10.0)
    assert found
    assert all(text.endswith("at 10 ms") for text in found)
    count = len(COMPARISONS["cache"].expectations) - len(found)
    assert line == (
        f"not judged: {count} expectations that speak of another number of users, or another"
        f" distance (cache {count})"
    )


def test_expectation_of_another_number_of_users_is_not_judged():
    found, (line,) = judged("connections", users=4)
    assert found
    assert all("with 4 users" in text for text in found)
    assert "speak of another number of users" in line


def test_expectation_that_names_no_number_of_users_is_judged_with_any():
    found, left_out = judged("threads", users=9)
    assert len(found) == len(COMPARISONS["threads"].expectations)
    assert left_out == []


@pytest.mark.parametrize(
    ("slug", "claim"),
    [
        ("blocking-call", "async_blocking bystander of wait"),  # half of the wait is left of it
        ("cpu-bound", "async_blocking bystander of work"),
        ("logging", "async_blocking bystander_max of wait"),
        ("cache", "async_native throughput of async_blocking at least 1.1"),
        ("workers", "async_two_processes throughput of async_one_process"),
        ("gil", "async_process throughput of async_threaded"),
        ("cpu-offload", "async_service throughput of ceiling"),
        ("bounded-concurrency", "async_own_semaphore failures"),
        ("bounded-concurrency", "async_semaphore throughput of ceiling"),
    ],
)
def test_what_takes_several_users_is_not_claimed_of_one(slug, claim):
    comparison = COMPARISONS[slug]
    (users, _), *_ = comparison.cases
    assert any(e.text(users).startswith(claim) for e in comparison.expectations)
    found, (line,) = judged(slug, users=1)
    assert not any(text.startswith(claim) for text in found)
    assert "another number of users" in line


@pytest.mark.parametrize("slug", ["blocking-call", "print", "shared-resource", "staged-awaits"])
def test_sync_is_not_called_the_same_with_more_users_than_it_has_threads(slug):
    found, _ = judged(slug, users=40)
    assert not any(text.startswith("sync") and "the same" in text for text in found)


def test_no_expectation_of_a_closed_loop_is_judged_in_an_open_one():
    found, (line,) = judged("pool-size", rate=20.0)
    assert found == []
    count = len(COMPARISONS["pool-size"].expectations)
    assert line.endswith(f"that speak of a closed loop of users (pool-size {count})")
