"""Charts: the figures behind their marks, and the files that they are drawn into."""

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from django.conf import settings
from django.template.loader import render_to_string
from django.utils.translation import override

from comparisons import result_store
from comparisons.pages import drawing
from comparisons.pages.charts import MOST_LANES, MOST_ROWS, charts_of, small
from comparisons.pages.pictures import pictures, small_picture
from comparisons.result import (
    QUANTILES,
    Bystander,
    Latency,
    Result,
    Throughput,
    Timeline,
    now,
)

REFERENCE = result_store.read(settings.RESULTS_DIR / result_store.REFERENCE)
ROW = next(row for row in REFERENCE.measurements if row.comparison == "blocking-call")
SVG = "{http://www.w3.org/2000/svg}"


def row(variant="async_native", **changes):
    fields = {
        "variant": variant,
        "throughput": Throughput(50.0, 40.0, 60.0),
        "latency_ms": Latency(100.0, 110.0, 120.0, 130.0),
        "bystander_ms": Bystander(3.0, 8.0, 9.0, 7.0),
        "ceiling": 70.0,
        "distribution": [100 + q for q in QUANTILES],
        "timeline": Timeline(400, [[0, 100, 0], [0, 200, 0]], [[10, 5]], 2),
    }
    return replace(ROW, **(fields | changes))


def result(*rows, pitfalls=("async_blocking",)):
    declared = [{"comparison": rows[0].comparison, "pitfalls": list(pitfalls)}]
    return Result(started=now(), measurements=list(rows), declared=declared)


def chart(name, *rows, **options):
    found = charts_of(result(*rows, **options), rows[0].comparison)
    return next((chart for chart in found if chart.name == name), None)


def values(chart, mark, nth=0):
    layers = [layer for layer in chart.spec["layer"] if layer["mark"]["type"] == mark]
    return layers[nth]["data"]["values"] if nth < len(layers) else []


def domain(chart, axis="x"):
    return chart.spec["layer"][0]["encoding"][axis]["scale"]["domain"]


def texts(chart):
    """All that its drawing says."""
    root = ElementTree.fromstring(drawing.svg(chart))
    return [text.text for text in root.iter(f"{SVG}text")]


# --- Bars


def test_bars_begin_at_zero_and_end_at_their_figures():
    drawn = chart("throughput", row("sync"), row(throughput=Throughput(20.0, 15.0, 25.0)))
    assert domain(drawn)[0] == 0
    assert [(bar["zero"], bar["value"]) for bar in values(drawn, "rect")] == [(0, 50), (0, 20)]
    assert [(rule["low"], rule["high"]) for rule in values(drawn, "rule")] == [(40, 60), (15, 25)]


def test_ceiling_is_a_mark_unless_it_is_so_far_that_bars_would_be_short():
    near, far = chart("throughput", row()), chart("throughput", row(ceiling=7000.0))
    assert [mark["ceiling"] for mark in values(near, "rule", 1)] == [70]
    assert domain(near)[1] >= 70
    assert values(far, "rule", 1) == []
    assert domain(far)[1] < 100
    assert "of at most 7000" in far.summary


def test_each_kind_has_its_colour_and_a_pitfall_its_word():
    drawn = chart("throughput", row("sync"), row("async_blocking"), row())
    assert [bar["colour"] for bar in values(drawn, "rect")] == [
        "var(--sync)",
        "var(--pitfall)",
        "var(--async)",
    ]
    assert "async_blocking (pitfall)" in texts(drawn)
    assert "async_blocking (pitfall) 50 (40–60)" in drawn.summary


def test_row_that_is_not_valid_says_so_and_has_no_bar():
    drawn = chart("throughput", row("sync"), row(valid=False))
    assert [bar["value"] for bar in values(drawn, "rect")] == [50]
    assert "not measured well enough" in texts(drawn)


def test_bystander_has_the_median_as_bar_and_the_longest_as_dot():
    drawn = chart("bystander", row())
    assert [bar["value"] for bar in values(drawn, "rect")] == [3]
    assert [dot["dot"] for dot in values(drawn, "circle")] == [7]


def test_what_nobody_asks_about_has_no_chart():
    names = [chart.name for chart in charts_of(REFERENCE, "many-waiting")]
    assert {"memory", "threads"} <= {*names}
    assert "throughput" not in names  # all wait at once: their rate says nothing
    assert {chart.name for chart in charts_of(REFERENCE, "blocking-call")} == {
        *("timeline", "throughput", "latency", "bystander")
    }


def test_more_rows_than_anybody_reads_are_counted():
    drawn = chart("throughput", *(row(f"sync_v{n}x") for n in range(300)))
    assert len(values(drawn, "rect")) == MOST_ROWS
    assert "260 more are not drawn" in texts(drawn)


# --- Curves


def test_latency_is_the_share_of_answers_over_a_logarithmic_axis():
    drawn = chart("latency", row("sync"), row())
    assert drawn.spec["layer"][0]["encoding"]["x"]["scale"]["type"] == "log"
    points = [(point["x"], point["y"]) for point in values(drawn, "line") if point["name"] == "0"]
    assert points == [(100 + q, q) for q in QUANTILES]


def test_cases_are_a_curve_over_what_sets_them_apart():
    drawn = chart(
        "sweep",
        *(row(round_trip=ms, throughput=Throughput(9 - ms, None, None)) for ms in (0, 1, 5)),
    )
    assert [(point["x"], point["y"]) for point in values(drawn, "line")] == [(0, 9), (1, 8), (5, 4)]
    assert "distance" in drawn.title
    assert domain(drawn, "y")[0] == 0


def test_variants_in_a_series_are_a_curve_over_their_numbers():
    names = ("async_1", "async_2", "async_16", "sync_8")
    drawn = chart("sweep", *(row(name, comparison="pool-size") for name in names))
    assert [(p["name"], p["x"]) for p in values(drawn, "line")] == [
        *(("0", 1), ("0", 2), ("0", 16)),
        ("1", 8),
    ]
    assert drawn.title.endswith("by pool size")
    assert drawn.spec["layer"][0]["encoding"]["x"]["scale"]["base"] == 2


# --- The timeline


def lanes(chart):
    """Of each colour, the bars of the requests: (from, to, how far down)."""
    found = {}
    for bar in values(chart, "rect"):
        found.setdefault(bar["colour"], []).append(
            (round(bar["from"]), round(bar["to"]), round(bar["top"]))
        )
    return found


def test_requests_that_block_are_a_staircase_and_others_a_stack():
    blocking = [[0, 100 * n, 0] for n in (1, 2, 3)]
    native = [[start, 100, 0] for start in (0, 0, 0, 100, 100, 100)]
    drawn = chart(
        "timeline",
        row("async_blocking", timeline=Timeline(300, blocking, [], 3)),
        row("async_native", timeline=Timeline(300, native, [], 6)),
    )
    bars = lanes(drawn)
    stairs, stack = bars["var(--pitfall)"], bars["var(--async)"]
    assert [round(end, -1) for _begin, end, _down in stairs] == [100, 200, 300]
    assert len({down for _begin, _end, down in stairs}) == 3
    assert sorted({round(end, -1) for _begin, end, _down in stack}) == [100, 200]
    assert len({down for _begin, _end, down in stack}) == 3  # a row a user


def test_timeline_is_cut_to_its_stretch_and_says_how_many_requests_it_leaves_out():
    drawn = chart("timeline", row(timeline=Timeline(100, [[-50, 100, 1], [90, 500, 0]], [], 7)))
    ends = [(bar["from"], bar["to"]) for nth in (0, 1) for bar in values(drawn, "rect", nth)]
    assert min(begin for begin, _end in ends) == 0
    assert max(end for _begin, end in ends) <= 100
    assert [bar["failed"] for bar in values(drawn, "rect", 1)] == [True]
    assert "2 of 7 requests drawn" in texts(drawn)


def test_pitfall_has_a_lane_however_many_variants_there_are():
    rows = [*(row(f"sync_v{n}x") for n in range(20)), row("async_blocking")]
    said = texts(chart("timeline", *rows))
    assert "async_blocking (pitfall)" in said
    assert sum(text.startswith(("sync_v", "async_")) for text in said) == MOST_LANES


# --- Small


def test_small_chart_has_a_bar_for_each_variant_of_the_first_case():
    drawn = small(
        result(row("sync"), row(throughput=Throughput(25.0, None, None)), row(round_trip=5)),
        "blocking-call",
    )
    first, second = (bar["to"] - bar["from"] for bar in values(drawn, "rect"))
    assert first == pytest.approx(2 * second, rel=0.01)
    assert (drawn.width, drawn.height) == (320, 2 * 16)
    assert small(result(row(valid=False)), "blocking-call") is None


# --- Odd results


def test_older_row_has_the_charts_that_it_has_figures_for():
    older = {"distribution": None, "timeline": None, "ceiling": None}
    older["bystander_ms"] = Bystander(None, None, None, None)
    older["throughput"] = Throughput(50.0, None, None)
    found = charts_of(result(row(**older), row("sync", **older)), "blocking-call")
    assert [chart.name for chart in found] == ["throughput", "latency"]
    assert all(drawing.svg(chart).startswith("<svg ") for chart in found)
    nothing = {"throughput": Throughput(None, None, None), "latency_ms": Latency(*[None] * 4)}
    assert charts_of(result(row(**(older | nothing))), "blocking-call") == []
    assert charts_of(REFERENCE, "no-such-comparison") == []


HOSTILE = """<script>alert('x')</script>"'&amp; ${x} \\ ]]> \N{RIGHT-TO-LEFT OVERRIDE}"""


def test_hostile_name_is_only_text():
    hostile = row(HOSTILE, deployment=HOSTILE, comparison=HOSTILE)
    found = charts_of(result(hostile, replace(hostile, round_trip=3.0)), HOSTILE)
    assert len(found) == 5
    for one in [*found, small(result(hostile), HOSTILE)]:
        drawn = drawing.svg(one)
        tags = {element.tag.removeprefix(SVG) for element in ElementTree.fromstring(drawn).iter()}
        assert tags <= {"svg", "style", "g", "path", "text"}
        assert "<script" not in drawn
    assert any(text.startswith("<script>alert") for text in texts(found[0]))


def test_times_of_nothing_and_rates_beyond_reason_are_drawn():
    for extreme in (0.0, 1e-9, 1e300):
        found = charts_of(
            result(
                row(
                    throughput=Throughput(extreme, extreme, extreme),
                    distribution=[extreme] * len(QUANTILES),
                    timeline=Timeline(0, [[0, 0, 0]], [], 1),
                )
            ),
            "blocking-call",
        )
        for one in found:
            assert "NaN" not in drawing.svg(one)


# --- Drawing


def test_file_has_its_colours_for_light_and_dark_and_a_part_of_a_page_has_the_pages():
    drawn = chart("throughput", row())
    alone, part = drawing.svg(drawn), drawing.inline(drawn)
    used = set(re.findall(r"var\((--[\w-]+)\)", alone))
    light, dark = alone.split("@media(prefers-color-scheme:dark)")
    for name in used:
        assert f"{name}:#" in light
        assert f"{name}:#" in dark.partition("</style>")[0]
    assert "<style" not in part
    assert ElementTree.fromstring(alone).get("width") == str(drawn.width)
    assert ElementTree.fromstring(alone).get("height") == str(drawn.height)


def test_bars_are_drawn_to_scale():
    drawn = drawing.svg(
        chart("throughput", row(), row("sync", throughput=Throughput(25.0, None, None)))
    )
    lengths = [float(x) for x in re.findall(r"M0,[\d.]+h([\d.]+)v", drawn)]
    assert lengths[0] == pytest.approx(2 * lengths[1], rel=0.01)


def test_numbers_are_written_as_in_the_readers_language_on_axes_too():
    waits = chart("bystander", row(users=1000, bystander_ms=Bystander(1.5, 2.5, 2.5, 2.5)))
    rates = chart("throughput", row(throughput=Throughput(2000.0, 1999.5, 2000.5)))
    assert ("0.5" in texts(waits), "1,000" in texts(rates)) == (True, True)
    with override("tr"):
        assert ("0,5" in texts(waits), "1.000" in texts(rates)) == (True, True)
        cases = row(users=1000, round_trip=0.5), row(users=2000, round_trip=1)
        assert "1.000 kullanıcı, 0,5 ms uzaklıkta" in chart("throughput", *cases).summary


def test_threads_draw_at_once_and_each_chart_once():
    drawing._drawn.cache_clear()
    drawn = [chart("throughput", row(users=n)) for n in range(4)]
    drawn += [chart("bystander", row(bystander_ms=Bystander(n, n, n, n))) for n in (1.0, 2.0, 3.0)]
    with ThreadPoolExecutor(4) as pool:
        first = list(pool.map(drawing.svg, drawn))
    assert first == [drawing.svg(one) for one in drawn]
    assert drawing._drawn.cache_info().currsize == 4  # the users are not in the chart


def test_nobody_loads_vega_who_draws_nothing():
    code = "import sys, django; django.setup(); import project.urls; print(*sys.modules)"
    env = {"DJANGO_SETTINGS_MODULE": "project.settings", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=settings.BASE_DIR, env=env
    )
    assert "comparisons.pages.pictures" in done.stdout.split(), done.stderr
    assert "vl_convert" not in done.stdout.split()


# --- As files of the pages


def test_picture_is_served_and_asked_for_again_only_if_it_has_changed(client):
    url = "/charts/reference.json/blocking-call/throughput.svg"
    response = client.get(url)
    assert response.status_code == 200
    assert response["Content-Type"] == "image/svg+xml"
    assert "max-age" in response["Cache-Control"]
    assert b"async_blocking (pitfall)" in response.content
    again = client.get(url, headers={"if-none-match": response["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "no.json/blocking-call/throughput",
        "..%2F..%2Fmanage.py/blocking-call/throughput",
        "%2Fetc%2Fpasswd/blocking-call/throughput",
        ".hidden.json/blocking-call/throughput",
        "damaged.json/blocking-call/throughput",
        "reference.json/no-such-comparison/throughput",
        "reference.json/blocking-call/no-such-chart",
    ],
)
def test_unknown_picture_is_not_found(client, settings, tmp_path, path):
    content = (settings.RESULTS_DIR / "reference.json").read_text()
    (tmp_path / "reference.json").write_text(content)
    (tmp_path / ".hidden.json").write_text(content)
    (tmp_path / "damaged.json").write_text("{")
    settings.RESULTS_DIR = tmp_path
    assert client.get(f"/charts/{path}.svg").status_code == 404


def test_result_is_read_again_if_it_has_changed(tmp_path):
    path = tmp_path / "result.json"
    content = result(row()).as_content()
    path.write_text(json.dumps(content))
    first = result_store.read(path)
    assert result_store.read(path) is first
    path.write_text(json.dumps(content | {"measurements": []}))
    assert result_store.read(path).measurements == []


def test_images_of_a_page_have_their_size_and_words_and_are_loaded_when_seen(client):
    shown = pictures("reference.json", REFERENCE, "blocking-call")
    html = render_to_string("comparisons/_charts.html", {"charts": shown})
    image = r'<img src="([^"]+)" width="480" height="\d+" alt="([^"]+)" loading="lazy"'
    images = re.findall(image, html)
    assert [url for url, _words in images] == [picture.url for picture in shown]
    assert len(images) == 4
    assert all("async_blocking (pitfall)" in words for _url, words in images)
    assert all(client.get(url).status_code == 200 for url, _words in images)
    assert small_picture("reference.json", REFERENCE, "blocking-call").url.endswith("/small.svg")
