"""Which result file the pages show, and what becomes of one that is none."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client

from tests.comparisons.pages.conftest import Save
from tests.support.results import MEASUREMENT, RESULT, VERDICT, text_of


def shown_file(client: Client) -> str:
    return re.findall(r"File: (\S+)", text_of(client, "/cpu-bound/"))[0]


def test_newest_file_is_shown_then_one_of_another_name_then_the_reference(
    client: Client, save: Save, results: Path
) -> None:
    names = ["2026-11-22T21-30-05Z.json", "2025-01-01T00-00-00Z.json", "mine.json"]
    for name in (*names, "reference.json"):
        save(name)
    for name in (*names, "reference.json"):
        assert shown_file(client) == name
        (results / name).unlink()


def test_run_without_this_comparison_is_passed_over(client: Client, save: Save) -> None:
    save("2026-11-23T00-00-00Z.json", {"comparison": "blocking-call"})
    save("2026-11-22T00-00-00Z.json")
    assert shown_file(client) == "2026-11-22T00-00-00Z.json"


def test_file_of_a_run_that_has_measured_nothing_yet_is_passed_over(
    client: Client, save: Save, results: Path
) -> None:
    save()
    (results / "2026-11-23T00-00-00Z.json").touch()
    assert shown_file(client) == "2026-11-22T21-30-05Z.json"
    assert "Skipped" not in text_of(client, "/cpu-bound/")


def test_run_of_variants_against_themselves_is_no_result(client: Client, save: Save) -> None:
    save("2026-11-23T00-00-00Z.json", options={"null": True})
    save()
    assert shown_file(client) == "2026-11-22T21-30-05Z.json"


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in RESULT.items() if name != key}


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "null",
        '"text"',
        "\0",
        "[" * 100_000,
        json.dumps(RESULT | {"schema": 2}),
        *(json.dumps(without(key)) for key in ("schema", "environment", "measurements")),
        json.dumps(RESULT | {"started": 5}),
        json.dumps(RESULT | {"started": "yesterday"}),
        json.dumps(RESULT | {"environment": []}),
        json.dumps(RESULT | {"options": 3}),
        json.dumps(RESULT | {"measurements": None}),
        json.dumps(RESULT | {"measurements": ["x"]}),
        json.dumps(RESULT | {"measurements": [MEASUREMENT | {"comparison": ["cpu-bound"]}]}),
        json.dumps(RESULT | {"measurements": [MEASUREMENT | {"throughput": {"mean": 1}}]}),
        json.dumps(RESULT | {"measurements": [MEASUREMENT | {"ceiling": "high"}]}),
        json.dumps(RESULT | {"measurements": [MEASUREMENT | {"ceiling": 10**400}]}),
        json.dumps(RESULT | {"measurements": [MEASUREMENT | {"rounds": None}]}),
        json.dumps(RESULT | {"measurements": [{"comparison": "cpu-bound"}]}),
        json.dumps(RESULT | {"verdicts": [VERDICT | {"verdict": "maybe"}]}),
        json.dumps(RESULT | {"verdicts": [VERDICT | {"verdict": []}]}),
    ],
    ids=lambda content: content[:40],
)
def test_broken_file_is_named_and_an_older_one_shown(
    client: Client, save: Save, results: Path, content: str
) -> None:
    save()
    (results / "2026-11-23T00-00-00Z.json").write_text(content)
    assert shown_file(client) == "2026-11-22T21-30-05Z.json"
    for url in ("/", "/cpu-bound/"):
        assert "Skipped 2026-11-23T00-00-00Z.json: not a result file" in text_of(client, url)


def test_unreadable_file_is_named(client: Client, save: Save, results: Path) -> None:
    (results / "2026-11-23T00-00-00Z.json").mkdir()
    assert "Skipped 2026-11-23T00-00-00Z.json" in text_of(client, "/")


def test_missing_folder_is_no_result(client: Client, settings: LazySettings) -> None:
    settings.RESULTS_DIR = settings.RESULTS_DIR / "nowhere"
    assert "None yet" in text_of(client, "/")
