"""How figures are written, and what a file may leave out."""

import json
import math

import pytest
from django.conf import settings

from comparisons import result_store
from comparisons.result import (
    OUTCOMES,
    Measurement,
    counts,
    figure,
    flat,
    interval,
    longest_holds,
    rounded,
)
from comparisons.result_store import REFERENCE
from tests.support.results import HOLD

ROW = json.loads((settings.RESULTS_DIR / REFERENCE).read_text())["measurements"][0]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0"),
        (0.0, "0"),
        (0.00001234, "0.0000123"),
        (0.1, "0.1"),
        (2.345, "2.35"),
        (2.1, "2.1"),
        (22.0, "22"),
        (99.96, "100"),
        (100.4, "100"),
        (1234.5, "1234"),
        (-0.5, "-0.5"),
    ],
)
def test_figure_has_three_significant_digits_and_no_exponent(value, text):
    assert figure(value) == text


def test_interval_that_is_open_to_one_side_is_none():
    assert interval(9.31, 9.64) == "9.31–9.64"
    assert interval(0, None) == interval(None, 5) == "no interval"


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_json_has_no_number_for_is_missing_in_the_file(value):
    assert rounded(value) is None


def test_counts_name_every_outcome():
    assert counts([]) == dict.fromkeys(OUTCOMES, 0)


def test_shape_of_a_foreign_row_is_what_its_server_had():
    foreign = {name: value for name, value in ROW.items() if not name.startswith("worker")}
    server = ROW["server"]
    assert Measurement.from_row(foreign).shape == f"{server['processes']} × {server['threads']}"
    assert Measurement.from_row(ROW | {"workers": 3, "worker_threads": 0}).shape == "3 × ∞"


@pytest.mark.parametrize(
    ("changes", "share"),
    [
        ({"ceiling": 80.0}, 0.5),
        ({"ceiling": None}, None),
        ({"ceiling": 80.0, "throughput": {"mean": None, "low": None, "high": None}}, None),
    ],
)
def test_share_of_the_ceiling_needs_both(changes, share):
    rate = {"throughput": {"mean": 40.0, "low": 39.0, "high": 41.0}}
    assert Measurement.from_row(ROW | rate | changes).share_of_ceiling == share


def test_file_has_a_line_for_a_list_of_numbers_and_reads_back(tmp_path):
    text = (settings.RESULTS_DIR / REFERENCE).read_text()
    result = result_store.read(settings.RESULTS_DIR / REFERENCE)
    result_store.write(tmp_path / "again.json", result)
    content = json.loads(text)
    for row in content["measurements"]:
        row.setdefault("held", None)  # which older files lack
        row["latency_ms"] = dict.fromkeys(("mean", "low", "high")) | row["latency_ms"]
    assert json.loads((tmp_path / "again.json").read_text()) == content
    assert len(text) < 1_600_000
    assert sum('"requests": [[' in line for line in text.splitlines()) > 300


@pytest.mark.parametrize(
    "changes",
    [
        {"distribution": [1.0, 2.0]},
        {"distribution": [math.nan] * 41},
        {"timeline": ROW["timeline"] | {"requests": [[1, 2]]}},
        {"timeline": ROW["timeline"] | {"bystander": [[1, math.inf]]}},
    ],
)
def test_damaged_picture_makes_no_measurement(changes):
    with pytest.raises(ValueError, match="number"):
        Measurement.from_row(ROW | changes)


def test_older_row_has_neither_distribution_nor_timeline_nor_holds():
    older = {key: ROW[key] for key in ROW if key not in ("distribution", "timeline", "held")}
    row = Measurement.from_row(older)
    assert row.distribution is row.timeline is row.held is None


@pytest.mark.parametrize(
    "changes",
    [
        {"ms": None},
        {"ms": math.nan},
        {"times": "often"},
        {"place": "somewhere"},
        {"place": "blocking_call.py:" + "9" * 5000},
        {"place": "blocking_call.py:-1"},
        {"code": None},
        {"calls": 3},
    ],
)
def test_damaged_hold_makes_no_measurement(changes):
    with pytest.raises((TypeError, ValueError)):
        Measurement.from_row(ROW | {"held": [HOLD | changes]})


def test_hold_that_lacks_something_makes_no_measurement():
    for name in HOLD:
        with pytest.raises(KeyError):
            Measurement.from_row(ROW | {"held": [{k: v for k, v in HOLD.items() if k != name}]})


def test_of_several_cases_that_counts_in_which_the_loop_was_held_longest():
    near, far = (
        Measurement.from_row(ROW | {"round_trip": ms, "held": [HOLD | {"ms": 10 + ms}]})
        for ms in (0, 10)
    )
    assert longest_holds([near, far]) == longest_holds([far, near]) == [(far, *far.held)]


def test_flat_values_are_read_line_by_line():
    machines = [{"name": "app", "address": "10.0.0.4"}, {"name": "load1", "address": None}]
    assert flat({"python": "3.13", "host": {"url": "x"}, "hosts": machines}) == {
        "python": "3.13",
        "host url": "x",
        "hosts 1": "name app, address 10.0.0.4",
        "hosts 2": "name load1",
    }
