"""What `advise` found, as it stands in a result file."""

import json
from dataclasses import replace

import pytest
from django.utils.translation import override

from comparisons.advice import Advice, Choice, Hop
from comparisons.advice_sentences import hops_of, of_choice, of_line, of_ratio
from comparisons.reasons import reason
from comparisons.result import Result
from loadtests.advising import candidates
from tests.support.advice import BLOCKED, CASES, SYNC, UNDER_ASGI, WAITING, result_of


def row_of(advice):
    return json.loads(json.dumps(advice.as_row()))


@pytest.mark.parametrize("advice", CASES.values(), ids=CASES)
def test_what_is_written_is_read_again(advice):
    assert Advice.from_row(row_of(advice)) == advice
    content = json.loads(json.dumps(result_of(advice).as_content()))
    assert Result.from_content(content).advice == advice


def test_result_of_a_comparison_has_none():
    content = result_of(SYNC).as_content()
    del content["advice"]
    assert Result.from_content(content).advice is None


def test_what_a_later_version_adds_is_left_out_and_what_it_does_not_say_has_its_default():
    row = row_of(SYNC)
    row["new"] = row["profiles"][0]["new"] = 1
    del row["sweeps"], row["profiles"][0]["hops"]
    assert Advice.from_row(row) == replace(SYNC, sweeps=())


def at(row, path):
    *to, last = path
    for key in to:
        row = row[key]
    return row, last


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["users"], "20"),
        (["users"], True),
        (["rate"], "fast"),
        (["asks"], ["GET /"]),
        (["asks"], {"GET /": None}),
        (["uses"], "postgres"),
        (["profiles"], {}),
        (["profiles", 0], None),
        (["profiles", 0, "interface"], "fcgi"),
        (["profiles", 0, "wall_ms"], float("nan")),
        (["profiles", 0, "is_async"], 1),
        (["profiles", 0, "lines", 0, "kind"], "sleeps"),
        (["candidates", 0, "pool"], 1.5),
        (["sweeps", 0, "steps", 0, "users"], None),
        (["choices", 0, "outcome"], "worse"),
        (["choices", 0, "high"], float("inf")),
    ],
)
def test_value_of_another_type_is_none(path, value):
    row = row_of(SYNC)
    where, last = at(row, path)
    where[last] = value
    with pytest.raises((TypeError, ValueError)):
        Advice.from_row(row)


@pytest.mark.parametrize("path", [["project"], ["profiles", 0, "ask"], ["choices", 0, "base"]])
def test_what_is_needed_and_missing_is_none(path):
    row = row_of(SYNC)
    where, last = at(row, path)
    del where[last]
    with pytest.raises(KeyError, match=last):
        Advice.from_row(row)


@pytest.mark.parametrize("row", [None, [], "advice", 1, {}])
def test_what_is_no_object_is_none(row):
    with pytest.raises((TypeError, KeyError)):
        Advice.from_row(row)


# --- Sentences


def test_line_that_holds_the_loop_says_for_how_long_and_who_waited():
    assert of_line(BLOCKED.lines[0]) == (
        "shop/prices.py:31 holds the event loop for 40.2 ms a request: requests.get(url)"
        " (17 other requests waited, on average)"
    )
    assert "computes on the event loop" in of_line(replace(BLOCKED.lines[0], cpu_ms=39))
    assert of_line(WAITING.lines[0]) == (
        "shop/prices.py:31 waits in a thread for 40.2 ms a request: answer = requests.get(url)"
    )


def test_hops_to_threads_and_to_loops_are_counted_each():
    profile = replace(UNDER_ASGI, hops=(*UNDER_ASGI.hops, Hop("view", "v.py:1", "loop", 1)))
    (threads, by_threads), (loops, by_loops) = hops_of(profile)
    assert threads == "It goes to a thread and back 4 times:"
    assert by_threads[0] == "2 for shop.middleware.Audit (shop/middleware.py:12)"
    assert loops == "It goes to an event loop and back 2 times:"
    assert by_loops[1] == "1 for the view, which is async (v.py:1)"


def test_formula_that_is_chosen_is_not_said_to_be_what_runs():
    said = of_choice(Choice("formula", "formula", "same", 1, 1, 1), None)
    assert said == "It is the formula of gunicorn's documentation: nothing measured is better."
    assert "nothing needs to change" in of_choice(Choice("now", "now", "same", 1, 1, 1), None)


def test_ratio_names_what_it_is_of():
    found = result_of(SYNC).verdicts[0]
    assert of_ratio(found) == "what runs now × 2.35 (2.1–2.6)"
    slow = replace(found, expected=replace(found.expected, metric="latency"))
    assert of_ratio(slow).startswith("the latency of what runs now × ")
    assert of_ratio(replace(found, measured=None)) == ""


@pytest.mark.parametrize("cpu_ms", [2.0, 30.0, 60.0])
@pytest.mark.parametrize("users", [1, 20, 4000])
def test_every_reason_for_a_candidate_has_a_translation(cpu_ms, users):
    profiles = {
        kind: [replace(UNDER_ASGI, interface=kind, cpu_ms=cpu_ms)] for kind in ("wsgi", "asgi")
    }
    found = candidates.plans(
        profiles,
        SYNC.asks,
        ["wsgi-sync", "wsgi-threads", "asgi-workers"],
        candidates.Load(users),
        4,
        keeps_connections=False,
        can_keep=True,
        can_pool=True,
    )
    found += candidates.plans(
        {"asgi": profiles["asgi"]},
        SYNC.asks,
        ["asgi-workers"],
        candidates.Load(users),
        4,
        keeps_connections=False,
        can_keep=False,
        can_pool=False,
    )
    with override("tr"):
        for plan in found:
            parts = plan.why.split("; ")
            assert all(reason(part) != part for part in parts), plan.why
