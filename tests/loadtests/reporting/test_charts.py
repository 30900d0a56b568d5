"""The README's pictures: what is drawn, counted; and that their files are the reference run's."""

from dataclasses import replace

import pytest

from comparisons import result_store
from comparisons.pages import drawing
from comparisons.result import Throughput
from loadtests.reporting import charts, reference

RESULT = result_store.read(reference.REFERENCE)
PICTURES = {
    name: reference.panels(RESULT, pictured) for name, pictured in reference.PICTURED.items()
}
ROW = PICTURES["reference"][0].bars[0].row


def bar(variant, mean=50.0, words="some view", pitfall=False, **changes):
    rate = Throughput(mean, mean and mean - 10, mean and mean + 10)
    return charts.Bar(words, replace(ROW, variant=variant, throughput=rate, **changes), pitfall)


def drawn(*bars, title="What was found"):
    return charts.throughput([charts.Panel(title, "What all do", bars)])


def layers(chart, mark):
    """What each layer of a kind of mark shows; of rectangles the bars, then the legend."""
    return [
        layer["data"]["values"] for layer in chart.spec["layer"] if layer["mark"]["type"] == mark
    ]


def bars_of(chart):
    return layers(chart, "rect")[0]


def said_by(chart):
    return [value["words"] for layer in layers(chart, "text") for value in layer]


def test_bars_and_intervals_of_a_panel_have_one_scale_that_begins_at_zero():
    chart = drawn(bar("sync"), bar("async_native", 25.0))
    long, short = bars_of(chart)
    zero, scale = long["zero"], (long["mean"] - long["zero"]) / 50
    assert short["zero"] == zero
    assert (short["mean"] - zero) / scale == pytest.approx(25)
    assert [(x - zero) / scale for x in (short["low"], short["high"])] == pytest.approx([15, 35])
    assert layers(chart, "rule") == [[long, short]]


def test_panel_says_what_was_found_and_names_its_bars_with_their_numbers():
    chart = drawn(bar("sync", words="in threads"), title="Threads wait as well")
    assert {"Threads wait as well", "What all do", "in threads"} <= set(said_by(chart))
    assert bars_of(chart)[0]["figure"] == "50"


def test_pitfall_is_marked_in_words_and_each_kind_has_its_colour():
    chart = drawn(bar("sync"), bar("async_blocking", pitfall=True), bar("async_native"))
    assert ["pitfall" in value["figure"] for value in bars_of(chart)] == [False, True, False]
    colours = [value["colour"] for value in bars_of(chart)]
    assert colours == ["var(--sync)", "var(--pitfall)", "var(--async)"]
    explained = [value["colour"] for value in layers(chart, "rect")[1]]
    assert sorted(explained[:3]) == sorted(colours)


def test_invalid_row_is_named_and_has_no_bar():
    chart = drawn(bar("sync", None, valid=False))
    assert len(layers(chart, "rect")) == 1  # the legend
    assert "not measured well enough" in drawing.svg(chart)


@pytest.mark.parametrize("name", PICTURES)
def test_every_row_is_pictured_and_nothing_reaches_into_the_next_panel(name):
    panels = PICTURES[name]
    chart = charts.throughput(panels)
    shown = bars_of(chart)
    assert [one["words"] for one in shown] == [bar.words for p in panels for bar in p.bars]
    assert len(shown) >= 10
    for one in shown:
        right = charts.WIDTH - charts.EDGE if one["zero"] > charts.WIDTH / 2 else charts.WIDTH / 2
        assert one["end"] + charts.CHARACTER * len(one["figure"]) <= right
        assert charts.CHARACTER * len(one["words"]) <= charts.NAMES + charts.BETWEEN


@pytest.mark.parametrize("name", PICTURES)
def test_committed_picture_is_that_of_the_reference_run(name):
    committed = (reference.PICTURES / f"{name}.svg").read_text()
    assert committed == drawing.svg(charts.throughput(PICTURES[name])) + "\n"
