"""What the terminal shows of measurements and verdicts."""

import io
import re
from dataclasses import replace

import pytest
from django.conf import settings
from rich.console import Console

from comparisons import result_store
from comparisons.result import Verdict
from loadtests.reporting import terminal

ROW = result_store.read(settings.RESULTS_DIR / result_store.REFERENCE).measurements[0]


def shown(rows):
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(terminal.measurement_table("title", rows))
    return console.export_text()


def test_table_of_waiting_requests_has_threads_and_memory_instead_of_a_rate():
    row = replace(
        ROW,
        deployment="wsgi-threads",
        users=1000,
        workers=1,
        worker_threads=1000,
        waiting=True,
        latency_ms=replace(ROW.latency_ms, p50=2000, p99=2500),
        bystander_ms=replace(ROW.bystander_ms, p99=5.2),
        server=replace(ROW.server, threads=1002, rss_mb=95.0, idle_mb=57.0),
    )
    text = shown([row])
    assert re.search(r"wsgi-threads +1 × 1000 +1002 +38 +2000 +2500 +5.2", text)
    assert "req/s" not in text


def test_table_names_the_cases_where_there_are_several():
    assert "users" not in shown([ROW, ROW])
    text = shown([ROW, replace(ROW, users=123), replace(ROW, round_trip=2.5)])
    assert re.search(rf"{ROW.deployment} +123 +0 +1 × 20", text)
    assert re.search(rf"{ROW.deployment} +{ROW.users} +2.5 +1 × 20", text)


def test_invalid_row_and_what_it_lacks_are_shown():
    nothing = replace(ROW.latency_ms, p50=None, p99=None)
    assert re.search(
        r"sync \(invalid\) .* – +– ", shown([replace(ROW, valid=False, latency_ms=nothing)])
    )


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "✓ sync latency of wait at most 2: 1.5 (1.4–1.6; 4 rounds)"),
        (
            {"outcome": "inconclusive", "high": None},
            "? sync latency of wait at most 2: 1.5 (no interval; 4 rounds)",
        ),
        (
            {"outcome": "invalid", "measured": None, "because": "sync: the server died"},
            "– sync latency of wait at most 2: sync: the server died",
        ),
    ],
)
def test_verdict_is_a_line(changes, line):
    verdict = Verdict("gil", "sync latency of wait at most 2", "holds", 1.5, 1.4, 1.6, "4 rounds")
    assert terminal.verdict_line(replace(verdict, **changes)).plain == line
