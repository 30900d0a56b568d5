"""What `compare` prints: comparisons before they are measured, their tables and verdicts after."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from comparisons.result import OUTCOMES, Measurement, Outcome, Verdict, counts, figure, interval
from loadtests.judging.declared import Declared
from loadtests.judging.intervals import ALPHA
from loadtests.reporting.saved import Saved

MANY_VERDICTS = 20
COLOURS: dict[Outcome, str] = {
    "holds": "green",
    "refuted": "red",
    "inconclusive": "yellow",
    "invalid": "magenta",
}


def listing(declared: Declared, served: Iterable[tuple[str, str]]) -> Table:
    """A comparison's slug, variants and expectations. served: variants, and deployments of each."""
    table = Table(
        title=heading(declared), title_justify="left", title_style="bold", show_header=False
    )
    for variant, deployment in served:
        table.add_row(variant, deployment, "pitfall" if variant in declared.pitfalls else "")
    table.add_section()
    for expectation in declared.expectations:
        table.add_row("expected", expectation.text, "")
    return table


def heading(declared: Declared) -> str:
    """For instance `cache: A cache call (10 users, 0 and 5 ms away)`."""
    title = f"{declared.comparison}: {declared.title}"
    return f"\n{title} ({_load(declared.users, declared.round_trip)})"


def _heading_of_rows(slug: str, rows: Sequence[Measurement]) -> str:
    """The same of a file that does not say the title."""
    load = _load((row.users for row in rows), (row.round_trip for row in rows))
    return f"\n{slug} ({load})"


def _load(users: Iterable[int], round_trip: Iterable[float]) -> str:
    counts = " and ".join(str(count) for count in dict.fromkeys(users))
    trips = " and ".join(f"{trip:g}" for trip in dict.fromkeys(round_trip))
    return f"{counts} users" + ("" if trips == "0" else f", {trips} ms away")


# --- After measuring


def print_summary(
    title: str, rows: Sequence[Measurement], verdicts: Sequence[Verdict], console: Console
) -> None:
    console.print(measurement_table(title, rows))
    if any(row.rate for row in rows):
        late = max(row.send_delay_ms or 0 for row in rows)
        console.print(f"open loop; the generator itself was up to {figure(late)} ms late (p99)")
    for verdict in verdicts:
        console.print(verdict_line(verdict), soft_wrap=True, highlight=False)


def measurement_table(title: str, rows: Sequence[Measurement]) -> Table:
    """Latencies in ms."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for name in ("variant", "deployment"):
        table.add_column(name, no_wrap=True)
    # What tells the rows of a variant apart, where there are several.
    several_users = len({row.users for row in rows}) > 1
    several_distances = len({row.round_trip for row in rows}) > 1
    waiting = any(row.waiting for row in rows)
    columns = ["users"] if several_users else []
    columns += ["ms\naway"] if several_distances else []
    columns += ["processes\n× threads"]
    columns += ["threads", "kB a\nrequest"] if waiting else ["req/s (interval)", "% of\nceiling"]
    columns += ["p50", "p99", "bystander\np99"]
    columns += [] if waiting else ["db\nconns"]
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        cells = [row.variant if row.valid else f"{row.variant} (invalid)", row.deployment]
        cells += [str(row.users)] if several_users else []
        cells += [f"{row.round_trip:g}"] if several_distances else []
        cells += [row.shape, *(_waiting(row) if waiting else _throughput(row))]
        latencies = (row.latency_ms.p50, row.latency_ms.p99, row.bystander_ms.p99)
        cells += [figure(latency) for latency in latencies]
        cells += [] if waiting else [str(row.server.db_connections)]
        table.add_row(*cells, style=None if row.valid else COLOURS["invalid"])
    return table


def _throughput(row: Measurement) -> tuple[str, str]:
    rate, share = row.throughput, row.share_of_ceiling
    return (
        f"{figure(rate.mean)} ({interval(rate.low, rate.high)})",
        "" if share is None else f"{share:.0%}",
    )


def _waiting(row: Measurement) -> tuple[str, str]:
    return str(row.server.threads), figure(row.kb_per_request)


def verdict_line(verdict: Verdict) -> Text:
    """For instance `✓ async_native throughput of async_blocking at least 5: 9.48 (9.3–9.6)`."""
    colour = COLOURS[verdict.outcome]
    line = Text(f"{verdict.words.sign} {verdict.expectation}: ", colour)
    if verdict.outcome == "invalid":
        return line.append(verdict.because)
    bounds = interval(verdict.low, verdict.high)
    return line.append(f"{figure(verdict.measured)} ({bounds}; {verdict.because})")


def count_line(verdicts: Iterable[Verdict]) -> str:
    """The last line of a run: `8 held, 1 refuted, 0 inconclusive, 0 invalid`."""
    return ", ".join(
        f"{count} {OUTCOMES[outcome].counted}" for outcome, count in counts(verdicts).items()
    )


def sureness(verdicts: Sequence[Verdict], stricter: Sequence[Verdict]) -> str:
    """Say how many of a run's verdicts may be false; "" of a few, which nobody adds up.

    stricter: the same, as they were if all of them were to be right together 95 times in 100.
    """
    decided = [verdict for verdict in verdicts if verdict.outcome in ("holds", "refuted")]
    if len(decided) < MANY_VERDICTS:
        return ""
    stand = sum(verdict.outcome in ("holds", "refuted") for verdict in stricter)
    return (
        f"Each verdict is wrong at most 2.5 times in 100: of {len(decided)}, "
        f"{len(decided) * ALPHA / 2:.0f} if every truth lay on its bound.\n"
        f"{stand} of them stand even if all together are to be right 95 times in 100.\n"
    )


def print_again(saved: Saved, slugs: Sequence[str], console: Console) -> list[Verdict]:
    """Print a result's tables and verdicts, of these comparisons or of all. Return the verdicts."""
    verdicts: list[Verdict] = []
    chosen = [slug for slug in saved.slugs if slug in slugs or not slugs]
    for slug in chosen:
        rows, found = saved.summary(slug)
        declared = saved.declared.get(slug)
        title = heading(declared) if declared else _heading_of_rows(slug, rows)
        print_summary(title, rows, found, console)
        verdicts += found
    if own := [slug for slug in chosen if not saved.can_be_computed(slug)]:
        why = saved.why_missing or f"of {', '.join(own)} it has no samples or no expectations"
        console.print(f"\n{why}: the figures are the file's own", soft_wrap=True, highlight=False)
    return verdicts
