"""The pictures: what is drawn, counted; in a figure, and in the file that the README shows."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from comparisons import result_store
from comparisons.result import Throughput
from loadtests.reporting import charts, reference

PICTURED = reference.pictured(result_store.read(reference.REFERENCE))
SVG = "{http://www.w3.org/2000/svg}"
MARKS = ("bar", "interval", "ceiling")


def names_of(rows):
    """Of each row: its panel and its number there."""
    slugs = [row.comparison for row in rows]
    return [f"{slug}-{slugs[:number].count(slug)}" for number, slug in enumerate(slugs)]


def expected_ids(rows):
    return {f"{mark}-{name}" for name in names_of(rows) for mark in MARKS}


def marks_of(figure):
    """The artists of a figure's panels that have an id."""
    return {
        artist.get_gid(): artist
        for axes in figure.axes
        if axes.axison
        for artist in (*axes.patches, *axes.lines)
        if artist.get_gid()
    }


def row(slug, variant, **changes):
    measured = replace(
        PICTURED[0],
        comparison=slug,
        variant=variant,
        throughput=Throughput(50.0, 40.0, 60.0),
        ceiling=80.0,
    )
    return replace(measured, **changes)


def test_every_row_has_bar_interval_and_ceiling():
    marks = marks_of(charts.throughput(PICTURED))
    assert set(marks) == expected_ids(PICTURED)
    assert len(marks) == 3 * len(PICTURED) > 50


def test_marks_stand_at_their_figures():
    marks = marks_of(charts.throughput([row("gil", "async_native")]))
    assert marks["bar-gil-0"].get_width() == 50
    assert list(marks["interval-gil-0"].get_xdata()) == [40, 60]
    assert list(marks["ceiling-gil-0"].get_xdata()) == [80, 80]


def test_each_kind_of_variant_has_its_look():
    variants = ("sync", "async_blocking", "async_native")
    rows = [row("blocking-call", name) for name in variants]
    figure = charts.throughput(rows)
    looks = [(bar.get_facecolor(), bar.get_hatch()) for bar in figure.axes[0].patches]
    assert len(set(looks)) == 3
    assert [hatch is not None for _colour, hatch in looks] == [False, True, False]
    explained = figure.legends[0].get_patches()
    assert [(patch.get_facecolor(), patch.get_hatch()) for patch in explained] == [
        looks[0],
        looks[2],
        looks[1],
    ]


def test_invalid_row_is_named_and_has_no_bar():
    invalid = row("gil", "sync", valid=False, throughput=Throughput(None, None, None))
    figure = charts.throughput([invalid])
    assert marks_of(figure) == {}
    assert [text.get_text().strip() for text in figure.axes[0].texts] == ["invalid"]


def test_places_without_a_panel_stay_empty():
    rows = [row(slug, "sync") for slug in ("gil", "threads", "workers")]
    figure = charts.throughput(rows)
    assert [axes.axison for axes in figure.axes] == [True, True, True, False]


# --- The README's picture


@pytest.fixture(scope="module")
def extents():
    """Of every mark in the committed file: its left and right edge."""
    found = {}
    for group in ElementTree.parse(reference.PICTURE).iter(f"{SVG}g"):
        if group.get("id", "").startswith(tuple(f"{mark}-" for mark in MARKS)):
            path = group.find(f".//{SVG}path").get("d")
            across = [float(x) for x in re.findall(r"[ML] ([\d.]+) [\d.]+", path)]
            found[group.get("id")] = min(across), max(across)
    return found


def test_committed_picture_has_every_mark(extents):
    assert set(extents) == expected_ids(PICTURED)


def test_committed_marks_are_drawn_to_scale(extents):
    """In a panel: bars as long as their rates, intervals around their ends, ceilings in place."""
    scales = {}
    for name, row in zip(names_of(PICTURED), PICTURED, strict=True):
        rate, (left, right) = row.throughput, extents[f"bar-{name}"]
        scale = scales.setdefault(row.comparison, (right - left) / rate.mean)
        figures = [(x - left) / scale for mark in MARKS for x in extents[f"{mark}-{name}"]]
        expected = [0, rate.mean, rate.low, rate.high, row.ceiling, row.ceiling]
        assert figures == pytest.approx(expected, rel=1e-3)
