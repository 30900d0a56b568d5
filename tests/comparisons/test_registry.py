"""The registry and the pairs agree with each other, both ways."""

import ast
import inspect
from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings

from comparisons import pairs
from comparisons.pairs import COMPARISONS, servers_wait
from comparisons.registry import (
    NEAR,
    SAME,
    THEORY,
    Comparison,
    Cost,
    Expectation,
    Variant,
    ceiling,
    slack,
)
from loadtests.judging.declared import Declared
from loadtests.running import selection
from project.deployments import DEPLOYMENTS

EACH_COMPARISON = pytest.mark.parametrize("comparison", COMPARISONS.values(), ids=COMPARISONS)


def test_every_file_of_pairs_is_in_the_reading_order():
    files = {path.stem.replace("_", "-") for path in Path(pairs.__file__).parent.glob("[!_]*.py")}
    assert files == set(COMPARISONS)


@EACH_COMPARISON
def test_every_view_of_the_module_is_a_variant(comparison):
    views = {
        name
        for name, function in inspect.getmembers(comparison.module, inspect.isfunction)
        if "request" in inspect.signature(function).parameters
    }
    # And those of other applications, which have a file of their own.
    assert views >= {v.view.__name__ for v in comparison.variants if not v.app}
    assert views <= {v.view.__name__ for v in comparison.variants}


@EACH_COMPARISON
def test_docstring_has_a_title_and_the_three_labels(comparison):
    assert comparison.title
    assert list(comparison.lesson()) == ["Claim", "Blocks", "Instead"]


@EACH_COMPARISON
def test_variants_name_says_its_colour(comparison):
    for variant in comparison.variants:
        assert variant.name.split("_")[0] == ("async" if variant.is_async else "sync")


@EACH_COMPARISON
def test_pair_fits_on_a_screen(comparison):
    assert len(inspect.getsource(comparison.module).splitlines()) <= 80


@EACH_COMPARISON
def test_view_has_at_most_fifteen_lines(comparison):
    for variant in comparison.variants:
        assert len(inspect.getsource(variant.view).splitlines()) <= 15, variant.name


# Their question is what happens where a view's colour is not at home.
CROSSING = {"start-up", "shared-resource", "request-path", "sync-under-asgi"}


@EACH_COMPARISON
def test_variant_is_measured_on_a_deployment_of_its_colour(comparison):
    for variant in comparison.variants:
        interface = DEPLOYMENTS[variant.deployment].interface
        at_home = interface == ("asgi" if variant.is_async else "wsgi")
        assert at_home or comparison.slug in CROSSING, variant.name


@EACH_COMPARISON
def test_pitfall_is_never_the_only_async_variant(comparison):
    pitfalls = [variant for variant in comparison.variants if variant.pitfall]
    remedies = [v for v in comparison.variants if v.is_async and not v.pitfall]
    assert remedies or not pitfalls


@EACH_COMPARISON
def test_pitfall_is_marked_in_its_source(comparison):
    """In the view; or, where only some variants of the view are pitfalls, where they are declared.

    Marked in one place only, so that no mark speaks of a variant that is none.
    """
    for variant in comparison.variants:
        of_view = [other.pitfall for other in comparison.variants if other.view is variant.view]
        in_view = "# pitfall" in inspect.getsource(variant.view)
        in_declaration = "# pitfall" in declaration_of(variant)
        assert in_view == all(of_view), variant.name
        assert in_declaration == (variant.pitfall and not all(of_view)), variant.name


def declaration_of(variant):
    """The lines of `Variant(...)` in the pair's file, comments included."""
    path, _, line = variant.place.rpartition(":")
    source, line = (settings.BASE_DIR / path).read_text(), int(line)
    (end,) = {
        node.end_lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and node.lineno == line and node.func.id == "Variant"
    }
    return "\n".join(source.splitlines()[line - 1 : end])


@EACH_COMPARISON
def test_every_expectation_speaks_of_the_comparisons_own_views(comparison):
    names = {variant.name for variant in comparison.variants}
    for expectation in comparison.expectations:
        assert expectation.variant in names
        assert expectation.of in {*names, *THEORY, None}


@EACH_COMPARISON
def test_every_pitfall_is_judged(comparison):
    judged = {name for e in comparison.expectations for name in (e.variant, e.of)}
    assert {v.name for v in comparison.variants if v.pitfall} <= judged


@EACH_COMPARISON
def test_failures_of_who_may_fail_are_judged(comparison):
    """Nothing else speaks of them: they make none of its rounds invalid."""
    for variant in comparison.variants:
        about = [e for e in comparison.expectations if e.variant == variant.name]
        failures = [e for e in about if e.metric in ("failures", "failed")]
        assert failures or not variant.may_fail, variant.name
        if variant.may_fail and variant.pitfall:
            assert any(e.at_least or e.between for e in failures), variant.name


def view(request):
    raise NotImplementedError


@pytest.mark.parametrize(
    ("variant", "interface", "load", "requests_per_second"),
    [
        # Little's law: 10 users of 0.1 s each are 100 a second, if they all can wait at once.
        (Variant(view, "", wait=0.1), "asgi", {"users": 10}, 100),
        (Variant(view, "", wait=0.1), "wsgi", {"users": 10, "threads": 4}, 40),
        (Variant(view, "", wait=0.1), "wsgi", {"users": 10, "threads": 4, "processes": 2}, 80),
        (Variant(view, "", wait=0.1), "wsgi", {"users": 10, "threads": 0}, 100),
        (Variant(view, "", wait=0.1, slots=1), "asgi", {"users": 10}, 10),
        (Variant(view, "", wait=0.1, slots=1), "asgi", {"users": 10, "processes": 3}, 30),
        # CPU work of 20 ms: 50 a second and core, and a process uses one.
        (Variant(view, "", cpu=True), "wsgi", {"users": 10, "threads": 9, "work": 0.02}, 50),
        (Variant(view, "", cpu=True), "asgi", {"users": 10, "processes": 4, "work": 0.02}, 100),
        (Variant(view, ""), "asgi", {"users": 10}, None),
    ],
)
def test_ceiling_is_littles_law_or_the_cores(variant, interface, load, requests_per_second):
    load = {"processes": 1, "threads": 1, "cores": 2} | load
    assert ceiling(variant, interface, **load) == pytest.approx(requests_per_second)


@pytest.mark.parametrize("bounds", [{}, {"at_least": 1, "at_most": 2}])
def test_expectation_has_exactly_one_kind_of_bound(bounds):
    with pytest.raises(ValueError, match="one of"):
        Expectation(view, "latency", of="wait", why="theory", **bounds)


def selected(**options):
    """What a run with these options measures: {slug: (comparison, rows)}."""
    defaults = {"slugs": [], "deployment": [], "users": None, "round_trip": None, "rate": None}
    shape = {"workers": None, "threads": None, "database": None, "quick": False, "null": False}
    return {c.slug: (c, rows) for c, rows in selection.choose(defaults | shape | options).rows}


def test_quick_run_leaves_out_the_crowds_and_their_expectations():
    whole, quick = selected()["many-waiting"], selected(quick=True)["many-waiting"]
    assert {row.users for row in whole[1]} == {100, 1_000, 5_000}
    assert {row.users for row in quick[1]} == {100}
    assert {e.users for e in quick[0].expectations} == {100}


CROWDED = ("many-waiting", "server-sent-events")


def test_quick_run_has_every_other_row_that_something_is_expected_of():
    quick = selected(quick=True)
    for slug, (comparison, rows) in selected().items():
        sides = {side for e in comparison.expectations for side in (e.variant, e.of)}
        if slug not in CROWDED:
            assert quick[slug][1] == [row for row in rows if row.variant.name in sides]


def test_quick_run_of_what_nothing_is_expected_of_has_all_rows(monkeypatch):
    bare = replace(COMPARISONS["fan-out-many"], expectations=[])
    monkeypatch.setitem(COMPARISONS, "fan-out-many", bare)
    assert len(selected(quick=True)["fan-out-many"][1]) == len(bare.variants)


def test_users_that_were_asked_for_are_no_crowd():
    _, rows = selected(quick=True, users=2_000)["many-waiting"]
    assert {row.users for row in rows} == {2_000}


def test_bound_may_depend_on_the_load():
    expectation = Expectation(
        view, "latency", of="wait", at_least=lambda users: users / 2, why="theory"
    )
    assert expectation.bounds(10) == (5, None)
    assert expectation.text(10) == "view latency of wait at least 5"


def test_expectation_of_several_variants_becomes_one_of_each():
    def sync(request):
        raise NotImplementedError

    def sync_other(request):
        raise NotImplementedError

    of_both = Expectation((sync, "sync_other"), "latency", at_most=1, why="theory")
    variants = [Variant(sync, "wsgi-sync"), Variant(sync_other, "wsgi-sync")]
    found = Comparison(users=1, variants=variants, expectations=[of_both]).expectations
    assert [expectation.variant for expectation in found] == ["sync", "sync_other"]
    assert {expectation.place for expectation in found} == {of_both.place}


# --- Bounds that the machine decides


def test_near_a_ceiling_leaves_what_a_request_takes_besides_its_wait():
    """5 ms beside a wait of 100 ms, three times behind others: 1 / 1.15 of the ceiling."""
    spare = slack(Variant(view, "", wait=0.1), Cost(latency_ms=5, cpu_ms=1), None)
    near = Expectation(view, "throughput", of="ceiling", at_least=NEAR, why="theory")
    assert spare == pytest.approx(0.15)
    assert near.bounds(10, spare) == (pytest.approx(1 / 1.15), None)


def test_near_a_queue_leaves_it_once_for_the_others_are_in_the_queue():
    spare = slack(Variant(view, "", wait=0.1), Cost(latency_ms=5, cpu_ms=1), None, "queue")
    assert spare == pytest.approx(0.05)


def test_queue_and_ceiling_of_one_variant_have_each_its_own_bound():
    """5 ms beside a wait of 50 ms: a tenth once, three tenths behind others."""
    declared = Declared.of(servers_wait.comparison, Cost(latency_ms=5, cpu_ms=1))
    lows = {expected.of: expected.low for expected in declared.expectations if expected.low}
    assert lows == {"ceiling": pytest.approx(1 / 1.3), "queue": pytest.approx(1 / 1.1)}


def test_the_same_work_differs_by_the_cpu_time_of_a_request_at_most():
    """1 ms beside work of 10 ms."""
    spare = slack(Variant(view, "", cpu=True), Cost(latency_ms=5, cpu_ms=1), 0.01)
    same = Expectation(view, "throughput", of="other", between=SAME, why="theory")
    assert same.bounds(10, spare) == (pytest.approx(1 / 1.1), pytest.approx(1.1))


def test_what_the_machine_decides_has_the_same_name_on_every_machine():
    near = Expectation(view, "throughput", of="ceiling", at_least=NEAR, why="theory")
    same = Expectation(view, "throughput", of="other", between=SAME, why="theory")
    assert near.text(10) == "view throughput of ceiling near"
    assert same.text(10) == "view throughput of other the same"
