"""Measurements and verdicts for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from loadtests.judging.verdicts import SIGNS, Verdict

COLOURS = {"holds": "green", "refuted": "red", "inconclusive": "yellow", "invalid": "magenta"}


def measurement_table(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """rows: of the result file. Latencies in ms."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for heading in ("variant", "deployment"):
        table.add_column(heading, no_wrap=True)
    # What tells the rows of a variant apart, where there are several.
    cases = [
        (heading, key)
        for heading, key in (("users", "users"), ("ms\naway", "round_trip"))
        if len({row[key] for row in rows}) > 1
    ]
    for heading, _key in cases:
        table.add_column(heading, justify="right")
    waiting = any(row["waiting"] for row in rows)
    first = ("threads", "kB a\nrequest") if waiting else ("req/s (interval)", "% of\nceiling")
    last = () if waiting else ("db\nconns",)
    for heading in (
        "processes\n× threads",
        *first,
        "p50",
        "p99",
        "bystander\np99",
        *last,
    ):
        table.add_column(heading, justify="right")
    for row in rows:
        name = row["variant"] if row["valid"] else f"{row['variant']} (invalid)"
        table.add_row(
            *(name, row["deployment"], *(f"{row[key]:g}" for _heading, key in cases)),
            f"{row['workers']} × {row['worker_threads'] or '∞'}",
            *(_waiting(row) if waiting else _throughput(row)),
            *(figure(row["latency_ms"][q]) for q in ("p50", "p99")),
            figure(row["bystander_ms"]["p99"]),
            *(() if waiting else (str(row["server"]["db_connections"]),)),
            style=None if row["valid"] else COLOURS["invalid"],
        )
    return table


def _throughput(row: Mapping[str, Any]) -> tuple[str, str]:
    rate = row["throughput"]
    share = rate["mean"] / row["ceiling"] if row["ceiling"] and rate["mean"] else None
    return (
        f"{figure(rate['mean'])} ({figure(rate['low'])}–{figure(rate['high'])})",
        "" if share is None else f"{share:.0%}",
    )


def _waiting(row: Mapping[str, Any]) -> tuple[str, str]:
    """The server's threads, and the memory that it grew by for each request that waits."""
    server = row["server"]
    return str(server["threads"]), figure(
        1000 * (server["rss_mb"] - server["idle_mb"]) / row["users"]
    )


def verdict_line(verdict: Verdict) -> Text:
    """For instance `✓ async_native throughput of async_blocking at least 5: 9.48 (9.3–9.6)`."""
    line = Text(f"{SIGNS[verdict.verdict]} {verdict.expectation}: ", COLOURS[verdict.verdict])
    if verdict.verdict == "invalid":
        return line.append(verdict.because)
    bounds = f"{figure(verdict.low)}–{figure(verdict.high)}"
    return line.append(f"{figure(verdict.measured)} ({bounds}; {verdict.because})")


def count_line(found: Sequence[Verdict]) -> str:
    """The last line of a run: `8 held, 1 refuted, 0 inconclusive, 0 invalid`."""
    words = {"holds": "held"} | {word: word for word in ("refuted", "inconclusive", "invalid")}
    counts = {word: sum(verdict.verdict == word for verdict in found) for word in words}
    return ", ".join(f"{count} {words[word]}" for word, count in counts.items())


def figure(value: float | None) -> str:
    """Three significant digits, without an exponent; `∞` for a bound that is not known."""
    if value is None:
        return "∞"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"
