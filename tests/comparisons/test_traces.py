"""The traces that the pages show: fresh, read from whatever file is there, in words."""

import json
import re
from pathlib import Path

import pytest
from django.template.loader import render_to_string

from comparisons import traces
from comparisons.pairs import COMPARISONS, blocking_call
from comparisons.traces import FILE, Held, traces_of

# Pitfalls whose lesson is a line that holds the event loop.
HOLDING = [
    ("blocking-call", "async_blocking"),
    ("logging", "async_blocking"),
    ("cpu-bound", "async_blocking"),
    ("row-loop", "async_fetchall"),
    ("fan-out-many", "async_gather_all"),
    ("fan-out-semaphore", "async_gather_all"),
    ("cache", "async_blocking"),
    ("async-keyword", "async_blocking"),
    ("async-keyword", "async_def"),
    ("batched-cursor", "async_fetchall"),
    ("client-per-request", "async_per_request"),
]
# Pitfalls that leave the loop alone: no line is to blame.
NOT_HOLDING = [
    ("print", "async_print"),
    ("async-keyword", "async_too_eager"),
    ("thread-hops", "async_many_hops"),
    ("sequential-awaits", "async_sequential"),
    ("gathered-queries", "async_orm"),
    ("streaming-response", "async_sync_iterator"),
    ("middleware", "async_one"),
]


@pytest.fixture
def file(tmp_path):
    """A copy of the traces that a test may change."""
    copy = tmp_path / "traces.json"
    copy.write_bytes(FILE.read_bytes())
    return copy


def change(file, variant, **changes):
    content = json.loads(file.read_text())
    content["traces"][variant] |= changes
    file.write_text(json.dumps(content))


@pytest.mark.parametrize("slug", COMPARISONS)
def test_every_variant_has_a_trace_of_what_it_is_now(slug):
    missing = {variant.name for variant in COMPARISONS[slug].variants} - {
        *traces_of(COMPARISONS[slug])
    }
    assert not missing, f"python -m loadtests.studies.traces {slug}"


@pytest.mark.parametrize(("slug", "name"), HOLDING)
def test_pitfall_that_holds_the_loop_names_the_line_that_its_comment_marks(slug, name):
    held = traces_of(COMPARISONS[slug])[name].held_loop
    assert held
    assert "# pitfall" in held.source
    assert held.ms >= traces.HELD_MS


@pytest.mark.parametrize(("slug", "name"), NOT_HOLDING)
def test_pitfall_that_leaves_the_loop_alone_blames_no_line(slug, name):
    assert traces_of(COMPARISONS[slug])[name].held_loop is None


def test_lines_are_those_of_the_file():
    lines = Path(blocking_call.__file__).read_text().splitlines()
    for trace in traces_of(blocking_call.comparison).values():
        for part in trace.parts:
            assert part.source == lines[part.line - 1].strip()


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"\xff\xfe",
        b"[]",
        b"[" * 100_000,
        b'{"runs": 1, "traces": 2}',
        b'{"runs": [], "traces": {"blocking-call/sync": {"run": 0}}}',
        b'{"runs": [["a", "b", "c"]], "traces": {"blocking-call/sync": {"run": [0]}}}',
        b'{"runs": [["a", "b", "c"]], "traces": {"blocking-call/sync": {"run": 0, "parts": 3}}}',
        b'{"runs": [["a", "b", "c"]], "traces": {"blocking-call/sync": 5}}',
        b"x" * (traces.MAX_BYTES + 1),
    ],
    ids=range(11),
)
def test_file_that_is_missing_or_damaged_has_no_traces(content, tmp_path):
    file = tmp_path / "traces.json"
    if content is not None:
        file.write_bytes(content)
    assert traces_of(blocking_call.comparison, file) == {}


@pytest.mark.parametrize(
    "part",
    [
        ["sync", 1, "", "loop", 1, 1.0, 0.0],
        ["sync", 1, "", "nowhere", 1, 1.0, 0.0, 1],
        ["gone", 1, "", "loop", 1, 1.0, 0.0, 1],
        [["sync"], 1, "", "loop", 1, 1.0, 0.0, 1],
        ["sync", -1, "", "loop", 1, 1.0, 0.0, 1],
        ["sync", 10**6, "", "loop", 1, 1.0, 0.0, 1],
        ["sync", 1, "x" * 1000, "loop", 1, 1.0, 0.0, 1],
        ["sync", 1, {}, "loop", 1, 1.0, 0.0, 1],
        ["sync", 1, "", [], 1, 1.0, 0.0, 1],
        ["sync", 1, "", "loop", True, 1.0, 0.0, 1],
        ["sync", 1, "", "loop", 1, float("nan"), 0.0, 1],
        ["sync", 1, "", "loop", 1, 1e300, 0.0, 1],
    ],
    ids=range(12),
)
def test_trace_with_a_part_that_cannot_be_is_none(part, file):
    change(file, "blocking-call/sync", parts=[part])
    found = traces_of(blocking_call.comparison, file)
    assert set(found) == {"async_blocking", "async_threaded", "async_native"}


@pytest.mark.parametrize(
    "changes", [{"hash": "0"}, {"deployment": "asgi-uvicorn"}], ids=["function", "deployment"]
)
def test_trace_of_what_has_changed_is_left_out(changes, file):
    change(file, "blocking-call/sync", **changes)
    assert "sync" not in traces_of(blocking_call.comparison, file)


def test_function_that_moves_keeps_its_trace(file, tmp_path, monkeypatch):
    moved = tmp_path / "blocking_call.py"
    moved.write_text("\n\n\n" + Path(blocking_call.__file__).read_text())
    before = traces_of(blocking_call.comparison, file)
    monkeypatch.setattr(traces.inspect, "getfile", lambda _: str(moved))
    after = traces_of(blocking_call.comparison, file)
    assert [part.line + 3 for part in before["sync"].parts] == [
        part.line for part in after["sync"].parts
    ]


def test_kept_traces_replace_those_of_their_comparison_alone(file):
    before = json.loads(file.read_text())["traces"]
    entry = before["blocking-call/sync"] | {"run": ["another", "3.0", "2000-01-01"]}
    traces.keep("blocking-call", {"blocking-call/sync": entry}, file)
    after = json.loads(file.read_text())
    assert {key for key in after["traces"] if key.startswith("blocking-call/")} == {
        "blocking-call/sync"
    }
    assert after["runs"][after["traces"]["blocking-call/sync"]["run"]] == entry["run"]
    others = {key: it for key, it in before.items() if not key.startswith("blocking-call/")}
    kept = {key: it for key, it in after["traces"].items() if key in others}
    assert {key: it["parts"] for key, it in kept.items()} == {
        key: it["parts"] for key, it in others.items()
    }


def test_kept_traces_have_a_line_each(file):
    traces.keep("blocking-call", {}, file)
    lines = file.read_text().splitlines()
    assert all(len(re.findall(r'"[\w-]+/\w+":', line)) <= 1 for line in lines)


def spaced(text):
    return " ".join(text.split())


def shown(trace, comparison=None):
    context = {"trace": trace, "comparison": comparison}
    return spaced(render_to_string("comparisons/_trace.html", context))


def test_card_says_in_words_where_each_line_ran_and_what_held_the_loop():
    found = traces_of(blocking_call.comparison)
    pitfall = shown(found["async_blocking"])
    held = found["async_blocking"].held_loop
    assert f"Line {held.line} held the event loop for {spaced(held.time)}: nobody else" in pitfall
    assert '<span class="place">event loop</span>' in pitfall
    threaded = shown(found["async_threaded"])
    assert "held the event loop for" not in threaded
    assert "Client.get" in threaded
    assert '<span class="place">thread of the request</span>' in threaded


def test_card_says_how_far_a_loop_goes_that_held_the_event_loop():
    found = traces_of(COMPARISONS["row-loop"])["async_fetchall"]
    held = found.held_loop
    assert held.last_line == held.line + 1
    assert f"Lines {held.line} to {held.last_line} held the event loop" in shown(found)


def test_card_without_a_trace_says_how_to_make_one():
    page = shown(None, blocking_call.comparison)
    assert "python -m loadtests.studies.traces blocking-call" in page


def test_hostile_trace_is_text_and_no_markup(file):
    script = "<script>alert(1)</script>"
    content = json.loads(file.read_text())
    content["runs"] = [[script, script, "2026-01-31"]]
    content["traces"] = {"blocking-call/sync": content["traces"]["blocking-call/sync"] | {"run": 0}}
    for part in content["traces"]["blocking-call/sync"]["parts"]:
        part[2] = script
    file.write_text(json.dumps(content))
    (trace,) = traces_of(blocking_call.comparison, file).values()
    page = shown(trace)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_card_has_no_inline_style():
    for slug in ("blocking-call", "fan-out-many", "streaming-response"):
        for trace in traces_of(COMPARISONS[slug]).values():
            assert "style=" not in shown(trace)


def test_what_ran_many_times_at_once_says_the_time_of_one():
    trace = traces_of(COMPARISONS["fan-out-many"])["async_gather_all"]
    (row,) = [row for row in dict(trace.functions)["send"] if row.awaited]
    assert row.part.awaited_ms > trace.took_ms
    assert row.often == "each of 10,000 times"


def test_thread_that_goes_on_after_the_answer_is_said_to():
    trace = traces_of(COMPARISONS["timeouts"])["async_threaded"]
    (row,) = [row for _, rows in trace.functions for row in rows if row.part.what]
    assert row.often == "it goes on after the answer"


def test_held_loop_is_said_of_pitfalls_on_an_event_loop_of_the_server_alone():
    for slug, comparison in COMPARISONS.items():
        found = traces_of(comparison)
        for variant in comparison.variants:
            if not variant.pitfall or not variant.deployment.startswith("asgi"):
                assert not found[variant.name].held_loop, (slug, variant.name)
    assert isinstance(traces_of(blocking_call.comparison)["async_blocking"].held_loop, Held)
