"""The pictures: what is drawn, counted; in a figure, and in the file that the README shows."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from comparisons import result_store
from comparisons.result import Throughput
from loadtests.reporting import charts, reference

RESULT = result_store.read(reference.REFERENCE)
PICTURES = {
    name: reference.panels(RESULT, pictured) for name, pictured in reference.PICTURED.items()
}
PANELS = [panel for panels in PICTURES.values() for panel in panels]
SVG = "{http://www.w3.org/2000/svg}"
MARKS = ("bar", "interval")


def rows_of(panels):
    return [bar.row for panel in panels for bar in panel.bars]


def name_of(row):
    return f"{row.comparison}-{row.variant}"


def expected_ids(panels):
    return {f"{mark}-{name_of(row)}" for row in rows_of(panels) for mark in MARKS}


def marks_of(figure):
    """The artists of a figure's panels that have an id."""
    return {
        artist.get_gid(): artist
        for axes in figure.axes
        if axes.axison
        for artist in (*axes.patches, *axes.lines)
        if artist.get_gid()
    }


def bar(variant, words="some view", pitfall=False, **changes):
    measured = replace(
        rows_of(PANELS)[0],
        comparison="gil",
        variant=variant,
        throughput=Throughput(50.0, 40.0, 60.0),
    )
    return charts.Bar(words, replace(measured, **changes), pitfall)


def drawn(*bars, title="What was found"):
    return charts.throughput([charts.Panel(title, "What all do", bars)])


def texts_of(figure):
    return [text.get_text().strip() for text in figure.axes[0].texts]


def test_every_row_has_bar_and_interval():
    marks = marks_of(charts.throughput(PANELS))
    assert set(marks) == expected_ids(PANELS)
    assert len(marks) == 2 * len(rows_of(PANELS)) > 20


def test_marks_stand_at_their_figures():
    marks = marks_of(drawn(bar("async_native")))
    assert marks["bar-gil-async_native"].get_width() == 50
    assert list(marks["interval-gil-async_native"].get_xdata()) == [40, 60]


def test_panel_says_what_was_found_and_what_all_do():
    assert texts_of(drawn(bar("sync"), title="Threads wait as well"))[:2] == [
        "Threads wait as well",
        "What all do",
    ]


def test_bars_are_named_in_words_and_have_their_numbers():
    figure = drawn(bar("sync", "in threads"), bar("async_native", "on a loop"))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        "in threads",
        "on a loop",
    ]
    assert texts_of(figure)[2:] == ["50", "50"]


def test_pitfall_is_marked_in_words():
    figure = drawn(bar("async_blocking", pitfall=True), bar("async_native"))
    assert ["pitfall" in text for text in texts_of(figure)[2:]] == [True, False]


def test_each_kind_of_variant_has_its_look():
    figure = drawn(bar("sync"), bar("async_blocking", pitfall=True), bar("async_native"))
    looks = [(patch.get_facecolor(), patch.get_hatch()) for patch in figure.axes[0].patches]
    assert len(set(looks)) == 3
    assert [hatch is not None for _colour, hatch in looks] == [False, True, False]
    explained = figure.legends[0].get_patches()
    assert [(patch.get_facecolor(), patch.get_hatch()) for patch in explained] == [
        looks[0],
        looks[2],
        looks[1],
    ]


def test_invalid_row_is_named_and_has_no_bar():
    figure = drawn(bar("sync", valid=False, throughput=Throughput(None, None, None)))
    assert marks_of(figure) == {}
    assert texts_of(figure)[2:] == ["not measured well enough"]


def test_places_without_a_panel_stay_empty():
    figure = charts.throughput(PANELS[:3])
    assert [axes.axison for axes in figure.axes] == [True, True, True, False]


@pytest.mark.parametrize("name", PICTURES)
def test_no_word_of_the_readmes_pictures_is_cut_or_covered(name):
    """Every text lies within the picture, and none of a panel reaches into the next."""
    figure = charts.throughput(PICTURES[name])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    middle = figure.bbox.width / 2
    for place, axes in enumerate(figure.axes):
        left, right = (0, middle) if place % 2 == 0 else (middle - 20, figure.bbox.width)
        for text in (*axes.texts, *axes.get_yticklabels()):
            extent = text.get_window_extent(canvas.get_renderer())
            assert left <= extent.x0 < extent.x1 <= right, text.get_text()


# --- The README's pictures


@pytest.fixture(scope="module", params=PICTURES)
def panels_and_extents(request):
    """Of every mark in a committed file: its left and right edge."""
    found = {}
    for group in ElementTree.parse(reference.PICTURES / f"{request.param}.svg").iter(f"{SVG}g"):
        if group.get("id", "").startswith(tuple(f"{mark}-" for mark in MARKS)):
            path = group.find(f".//{SVG}path").get("d")
            across = [float(x) for x in re.findall(r"[ML] ([\d.]+) [\d.]+", path)]
            found[group.get("id")] = min(across), max(across)
    return PICTURES[request.param], found


def test_committed_picture_has_every_mark(panels_and_extents):
    panels, extents = panels_and_extents
    assert set(extents) == expected_ids(panels)


def test_committed_marks_are_drawn_to_scale(panels_and_extents):
    """In a panel: bars as long as their rates, intervals around their ends."""
    panels, extents = panels_and_extents
    scales = {}
    for row in rows_of(panels):
        rate, (left, right) = row.throughput, extents[f"bar-{name_of(row)}"]
        scale = scales.setdefault(row.comparison, (right - left) / rate.mean)
        figures = [(x - left) / scale for mark in MARKS for x in extents[f"{mark}-{name_of(row)}"]]
        assert figures == pytest.approx([0, rate.mean, rate.low, rate.high], rel=1e-3)
