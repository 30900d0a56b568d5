"""The pages of several runs: which two are compared, what is shown of them, and the history."""

import json
import re
from dataclasses import replace
from html import unescape

import pytest
from django.conf import settings as project_settings
from django.utils.html import strip_tags

from comparisons import result_store
from comparisons.pages import runs
from comparisons.pairs import COMPARISONS
from tests.support.results import HOLD

REFERENCE = result_store.read(project_settings.RESULTS_DIR / result_store.REFERENCE)
CONTENT = REFERENCE.as_content()
SLUG = "blocking-call"
RATE = "async_native throughput of async_blocking at least 3"
OLD, NEW, NEWEST = (f"2026-11-2{day}T00-00-00Z.json" for day in (1, 2, 3))


@pytest.fixture(autouse=True)
def results(settings, tmp_path):
    settings.RESULTS_DIR = tmp_path
    return tmp_path


def content_of(slug=SLUG, verdict=None, **keys):
    """What the reference run says of a comparison; the verdict on RATE with other values."""
    row = CONTENT | {"declared": []}
    for key in ("measurements", "verdicts"):
        row[key] = [entry for entry in row[key] if slug in ("", entry["comparison"])]
    row["verdicts"] = [
        entry | (verdict or {}) if entry["expectation"] == RATE else entry
        for entry in row["verdicts"]
    ]
    return json.loads(json.dumps(row | keys))


@pytest.fixture
def save(results):
    def save(name, **changes):
        day = name[:10] if name[0].isdecimal() else "2026-11-20"
        keys = {"started": f"{day}T00:00:00Z"} | changes
        (results / name).write_text(json.dumps(content_of(**keys)))

    return save


def html_of(client, url):
    response = client.get(url)
    assert response.status_code == 200
    assert response["Content-Security-Policy"] == "default-src 'self'"
    return response.content.decode()


def text_of(client, url):
    return " ".join(unescape(strip_tags(html_of(client, url))).split())


def compared(client, url="/changes/"):
    """The files that are before and after."""
    return tuple(re.findall(r"<option selected>(.*?)</option>", html_of(client, url)))


FASTER = {"measured": 62.0, "low": 60.0, "high": 64.0}


# --- Two runs


def test_the_two_newest_are_compared_the_older_one_is_before(client, save):
    for name in (OLD, NEW, NEWEST):
        save(name)
    assert compared(client) == (NEW, NEWEST)


def test_two_that_are_asked_for_are_compared_and_can_be_swapped(client, save):
    for name in (OLD, NEW, NEWEST):
        save(name)
    url = f"/changes/?before={OLD}&after={NEW}"
    assert compared(client, url) == (OLD, NEW)
    (swapped,) = re.findall(r'href="([^"]+)">Swap them', html_of(client, url))
    assert compared(client, unescape(swapped)) == (NEW, OLD)
    assert "before is the later of the two runs" in text_of(client, unescape(swapped))


def test_one_that_is_asked_for_is_compared_with_the_run_before_it(client, save):
    for name in (OLD, NEW, NEWEST):
        save(name)
    assert compared(client, f"/changes/?after={NEW}") == (OLD, NEW)
    assert compared(client, f"/changes/?before={NEW}") == (NEW, NEWEST)


def test_run_against_itself_is_not_compared_unless_it_is_asked_for(client, save):
    save(OLD)
    save(NEW)
    save(NEWEST, options={"null": True})
    assert compared(client) == (OLD, NEW)
    assert compared(client, f"/changes/?before={OLD}&after={NEWEST}") == (OLD, NEWEST)


def test_change_is_shown_with_its_interval_and_both_figures(client, save):
    save(OLD)
    save(NEW, verdict=FASTER | {"verdict": "refuted"})
    text = text_of(client, "/changes/")
    assert "≠ 1 changed" in text
    assert re.search(r"changed: blocking-call async_native serves at least 3 times as many", text)
    assert re.search(r"times what it was \(95 % sure of [\d.]+ to [\d.]+\)", text)
    assert re.search(r"[\d.]+ before, 62 after; held before, refuted after", text)


def test_what_is_the_same_and_what_nobody_can_tell_are_lists_of_their_own(client, save):
    save(OLD)
    save(NEW)
    of_slug = [v for v in REFERENCE.verdicts if v.comparison == SLUG]
    shown = {
        show: html_of(client, f"/changes/?show={show}").count('<li class="change ')
        for show in ("changed", "unclear", "same", "speeds")
    }
    assert shown["changed"] == 0
    assert shown["unclear"] + shown["same"] == len(of_slug)
    assert shown["speeds"] > 0


def test_latency_at_a_given_rate_is_shown_where_it_changed(client, save):
    row = next(row for row in content_of("")["measurements"] if row.get("rate") and row["valid"])
    before, after = (
        [row | {"latency_ms": row["latency_ms"] | {"mean": ms, "low": ms - 1, "high": ms + 1}}]
        for ms in (100, 200)
    )
    save(OLD, measurements=before)
    save(NEW, measurements=after)
    list_ = text_of(client, "/changes/").partition("Median latency at a given rate that changed")[2]
    assert "requests/s asked for 2 times what it was (95 % sure" in list_
    assert "100 ms before, 200 ms after" in list_
    assert "Median latency at a given rate, row by row" in text_of(client, "/changes/?show=speeds")
    save(NEW, measurements=before)
    assert "Median latency at a given rate" not in text_of(client, "/changes/")


def test_what_holds_an_event_loop_now_is_shown_by_line(client, save):
    rows = content_of()["measurements"]
    free = [row | {"held": []} for row in rows]
    save(OLD, measurements=free)
    save(NEW, measurements=[free[0] | {"held": [HOLD]}, *free[1:]])
    (row,) = html_of(client, "/changes/").partition("Holds its event loop now")[2].split("<li")[1:]
    said = " ".join(unescape(strip_tags(f"<li{row}")).split())
    assert f"≠changed: {SLUG} {SLUG}/{rows[0]['variant']} on " in said
    assert "held the event loop for 21 ms a request at cpu_bound.py:26, return" in said
    save(NEW, measurements=free)
    assert "Holds its event loop now" not in text_of(client, "/changes/")


def test_versions_that_differ_are_named(client, save):
    save(OLD, environment=REFERENCE.environment | {"django": "5.2"})
    save(NEW, environment=REFERENCE.environment | {"django": "6.1"})
    html = html_of(client, "/changes/")
    assert re.search(r'<th scope="row"[^>]*>django</th><td[^>]*>5.2</td><td[^>]*>6.1</td>', html)
    assert html.count('<th scope="row"') == 3  # and the files, and when they were started


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_results_say_what_makes_them(client, save, count):
    for name in (OLD, NEW)[:count]:
        save(name)
    assert "It takes two results: python manage.py compare" in text_of(client, "/changes/")


@pytest.mark.parametrize(
    "url",
    [
        "/changes/?before=nowhere.json",
        "/changes/?after=../settings.py",
        "/changes/?show=nothing",
        "/history/?comparison=nothing",
    ],
)
def test_unknown_name_is_one_line(client, save, url):
    save(OLD)
    response = client.get(url)
    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/plain")
    assert len(response.content.decode().splitlines()) == 1


@pytest.mark.parametrize("content", ["{", json.dumps({"schema": 0}), "[]"])
def test_bad_file_is_named_and_passed_over(client, save, results, content):
    save(OLD)
    save(NEW)
    (results / NEWEST).write_text(content)
    assert f"Skipped {NEWEST}: not a result file" in text_of(client, "/changes/")
    assert f"Skipped {NEWEST}: not a result file" in text_of(client, "/history/")
    assert compared(client)[0] == OLD


def test_bad_file_that_is_asked_for_is_named(client, save, results):
    save(OLD)
    (results / NEWEST).write_text("{")
    text = text_of(client, f"/changes/?before={OLD}&after={NEWEST}")
    assert f"Skipped {NEWEST}: not a result file" in text


@pytest.mark.parametrize(
    "odd",
    [
        {"rounds": 10**400},
        {"deployment": ["x"]},
        {"low": 1e300},
        {"expected": None},
        {"measured": None},
    ],
    ids=str,
)
def test_odd_verdicts_are_no_traceback(client, save, odd):
    save(OLD)
    save(NEW, verdict=odd)
    for url in ("/changes/", "/changes/?show=unclear", "/history/"):
        html_of(client, url)


def hostile(value, bad):
    """The same with this in place of every text that is no name of ours."""
    if isinstance(value, dict):
        return {
            key if key in KEYS else bad: entry if key in KEPT else hostile(entry, bad)
            for key, entry in value.items()
        }
    if isinstance(value, list):
        return [hostile(entry, bad) for entry in value]
    return bad if isinstance(value, str) else value


KEPT = ("verdict", "started", "finished", "schema", "metric")
KEYS = set(re.findall(r'"(\w+)":', json.dumps(REFERENCE.as_content() | {"environment": {}})))


def test_what_a_result_file_says_is_text_and_no_markup(client, results):
    bad = "<script>alert('\"1')</script>{{ x }}"
    for name, more in ((OLD, 1), (NEW, 2)):
        content = hostile(content_of(), f"{bad}{more}")
        for row in (*content["measurements"], *content["verdicts"]):
            row["comparison"] = bad
        content["verdicts"][0]["expectation"] = bad
        (results / name).write_text(json.dumps(content))
    for show in runs.SHOWS:
        html = html_of(client, f"/changes/?show={show}")
        assert "<script" not in html
        assert "&lt;script&gt;" in html
    html = html_of(client, "/history/")
    assert "<script" not in html
    assert "&lt;script&gt;" in html


# --- All runs


def cells(client, url="/history/"):
    """The cells of RATE, from left to right."""
    (row,) = re.findall(
        r"<tr><th scope=\"row\">async_native serves at least 3 times as many requests a second as "
        r"async_blocking</th>(.*?)</tr>",
        html_of(client, url),
    )
    return [" ".join(strip_tags(cell).split()) for cell in re.findall(r"<td.*?</td>", row)]


def test_history_has_a_column_a_run_the_newest_on_the_left(client, save):
    save(OLD, verdict=FASTER | {"verdict": "refuted"})
    save(NEW, slug="cache")
    save(NEWEST, verdict=FASTER)
    assert cells(client) == ["✓ 62", "", "✗ 62"]
    assert cells(client, f"/history/?comparison={SLUG}") == ["✓ 62", "✗ 62"]


def test_judgement_that_is_not_that_of_the_run_before_is_framed(client, save):
    save(OLD, verdict=FASTER | {"verdict": "refuted"})
    save(NEW, verdict=FASTER)
    save(NEWEST, verdict=FASTER)
    framed = re.findall(r'<td class="number (\w+) otherwise">', html_of(client, "/history/"))
    assert framed == ["holds"]


def test_history_links_comparisons_and_what_changed_since_the_run_before(client, save):
    save(OLD)
    save(NEW)
    html = html_of(client, "/history/")
    assert f'<a href="/{SLUG}/">' in html
    assert f'href="/changes/?before={OLD}&amp;after={NEW}"' in html


def test_history_shows_so_many_runs_and_says_how_many_it_leaves_out(client, save, monkeypatch):
    monkeypatch.setattr(runs, "RUNS", 2)
    monkeypatch.setattr(runs, "LOOKED_AT", 3)
    for name in (OLD, NEW, NEWEST, "mine.json", "reference.json"):
        save(name)
    text = text_of(client, "/history/")
    assert "One older run is not shown." in text
    assert "The newest 3 files were read, and 2 were not." in text
    assert len(cells(client)) == 2


def test_history_without_results_says_what_makes_one(client):
    assert "None yet: python manage.py compare" in text_of(client, "/history/")


def test_history_of_one_comparison_shows_no_other(client, save):
    save(OLD, slug="")
    html = unescape(html_of(client, "/history/?comparison=cache"))
    assert html.count('<tr class="group">') == 1
    assert COMPARISONS["cache"].title in html


def test_file_that_stays_as_it_is_is_read_once(save, results):
    save(OLD)
    first = result_store.read(results / OLD)
    assert result_store.read(results / OLD) is first
    save(OLD, verdict=FASTER)
    again = {verdict.expectation: verdict for verdict in result_store.read(results / OLD).verdicts}
    assert again[RATE].measured == 62


def test_page_has_nothing_inline_and_nothing_from_elsewhere(client, save):
    save(OLD)
    save(NEW, verdict=FASTER)
    for url in ("/changes/", "/history/"):
        html = html_of(client, url)
        assert not re.search(r"<style|\sstyle=|<script|\son\w+=|//\w", html)


def test_strip_ends_at_its_edges():
    tenfold = replace(runs.Interval(10, 9, 11))
    strip = runs.Strip.of(runs.SpeedChange(None, None, "changed", tenfold))
    assert (strip.start, strip.width, strip.middle) == ("200", "2", "200")
