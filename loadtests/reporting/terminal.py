"""What `compare` prints: comparisons before they are measured, their tables and verdicts after."""

import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from comparisons.confidence import ALPHA
from comparisons.result import (
    OUTCOMES,
    Measurement,
    Outcome,
    Verdict,
    count_of,
    counts,
    figure,
    interval,
    without_bystander,
)
from comparisons.sentences import expectation_sentence, held_sentences, sentence, terms
from loadtests.judging.declared import Declared
from loadtests.judging.verdicts import decided
from loadtests.reporting.saved import Saved

MANY_VERDICTS = 20
COLOURS: dict[Outcome, str] = {
    "holds": "green",
    "refuted": "red",
    "inconclusive": "yellow",
    "invalid": "magenta",
}
HELD_COLOUR = "yellow"


def index(groups: Mapping[str, Sequence[Declared]], width: int) -> Iterator[str]:
    """Yield a line a group, and a line a comparison: its slug and its title."""
    widest = max(len(one.comparison) for group in groups.values() for one in group)
    for name, group in groups.items():
        if group:
            yield f"\n{name}"
        for one in group:
            slug = f"  {one.comparison:<{widest}}  "
            yield slug + textwrap.shorten(one.title, width - len(slug), placeholder=" …")


def questions(
    asked: Mapping[str, Sequence[str]], slugs: Collection[str], width: int
) -> Iterator[str]:
    """Yield what people ask, and which of these slugs answer it."""
    yield "\nBy question"
    for question, answers in asked.items():
        if found := [slug for slug in answers if slug in slugs]:
            yield wrapped(question, width, first="  ")
            yield wrapped(", ".join(found), width, first="    ")


def detail(
    declared: Declared, served: Iterable[tuple[str, ...]], met_under: str, width: int
) -> Iterator[str]:
    """Yield lines: the variants, and the expectations with their reasons.

    served: a variant, its deployment, and what it declares of its shape, for each that is served.
    met_under: by which servers' users its pitfalls are met; "" where it has none.
    """
    yield heading(declared)
    if met_under:
        yield f"met under {met_under}"
    places = list(served)
    widest = max((len(variant) for variant, *_ in places), default=0)
    for variant, deployment, *shape in places:
        marks = ["pitfall"] if variant in declared.pitfalls else []
        text = ", ".join([deployment, *marks, *shape])
        yield wrapped(text, width, first=f"  {variant:<{widest}}  ")
    yield "expected:"
    for expected in declared.expectations:
        yield wrapped(expectation_sentence(expected), width, first="- ")
        yield wrapped(expected.why, width, first="  ")


def wrapped(text: str, width: int, first: str = "") -> str:
    """Break the text between words, with a hanging indent; never inside a number or a name."""
    kept = text
    for unit in (" %", " times", " ms"):
        kept = kept.replace(unit, "\N{NO-BREAK SPACE}" + unit[1:])
    lines = textwrap.fill(
        kept,
        width,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines.replace("\N{NO-BREAK SPACE}", " ")


def heading(declared: Declared) -> str:
    """For instance `cache: A cache call (10 users, 0 and 5 ms away)`."""
    title = f"{declared.comparison}: {declared.title}"
    return f"\n{title} ({_load(declared.users, declared.round_trip, declared.rate)})"


def _heading_of_rows(slug: str, rows: Sequence[Measurement]) -> str:
    """The same of a file that does not say the title."""
    load = _load((row.users for row in rows), (row.round_trip for row in rows), rows[0].rate)
    return f"\n{slug} ({load})"


def _load(users: Iterable[int], round_trip: Iterable[float], rate: float | None) -> str:
    counts = _listed(f"{count:,}" for count in dict.fromkeys(users))
    trips = _listed(f"{trip:g}" for trip in dict.fromkeys(round_trip))
    load = f"{rate:g} requests a second" if rate else f"{counts} users"
    return load + ("" if trips == "0" else f", {trips} ms away")


def _listed(words: Iterable[str]) -> str:
    """For instance `1, 2 and 3`."""
    *before, last = words
    return f"{', '.join(before)} and {last}" if before else last


# --- After measuring


def print_summary(
    title: str,
    rows: Sequence[Measurement],
    verdicts: Sequence[Verdict],
    console: Console,
    every_reason: bool = False,
) -> None:
    """Print the table and the verdicts; the reasons of those that do not hold, or of all."""
    console.print(title, style="bold", soft_wrap=True, highlight=False)
    console.print(measurement_table(rows))
    if any(row.rate for row in rows):
        late = max(row.send_delay_ms or 0 for row in rows)
        console.print(f"open loop; the generator itself was up to {figure(late)} ms late (p99)")
    for said in held_sentences(rows):
        line = wrapped(said, console.width, first="  ")
        console.print(Text(line, HELD_COLOUR), soft_wrap=True, highlight=False)
    for term, meaning in terms(verdicts):
        print_dim(wrapped(f"{term}: {meaning}", console.width, first="  "), console)
    for verdict in verdicts:
        line = wrapped(sentence(verdict), console.width, first=f"{verdict.words.sign} ")
        colour = COLOURS[verdict.outcome]
        console.print(Text(line, colour), soft_wrap=True, highlight=False)
        why = verdict.expected.why if verdict.expected else ""
        if why and (every_reason or verdict.outcome != "holds"):
            print_dim(wrapped(f"Why: {why}", console.width, first="  "), console)


def load_generators(found: Mapping[str, Any], width: int) -> str:
    """Say what each of several load generators can do, as the result file has it; "" of one."""
    workers = found.get("workers", [])
    if not workers:
        return ""
    first, *others = [f"{one['name']} {one['capacity']:,}" for one in workers]
    alone = ", ".join([f"{first} requests/s alone", *others])
    together = f"; together {found['capacity']:,.0f}" if others else ""
    uncertain = max(one["uncertain_ms"] for one in workers)
    line = f"load generators: {alone}{together}; their clocks are known to ±{uncertain:.1g} ms"
    return wrapped(line, width)


def hosts(found: Iterable[Mapping[str, Any]], width: int) -> str:
    """Say where servers run that are elsewhere, and how far all is, as the result file has it."""
    seen = [one for one in found if one["round_trip_ms"] is not None]
    servers = [one for one in seen if one["role"] == "servers"]
    if not servers:
        return ""
    (app,) = servers
    line = f"servers: {app['name']} at {app['address']}, {app['round_trip_ms']:.2g} ms away"
    databases = [
        f"{one['name']} at {one['address']} {one['round_trip_ms']:.2g} ms"
        for one in seen
        if one["role"] == "database"
    ]
    return wrapped(f"{line}; from there {', '.join(databases)}" if databases else line, width)


def print_dim(line: str, console: Console) -> None:
    console.print(Text(line, "dim"), soft_wrap=True, highlight=False)


def measurement_table(rows: Sequence[Measurement]) -> Table:
    """Two lines a row, so that 80 columns are enough. Latencies in ms."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    # What tells the rows of a variant apart, where there are several.
    several_users = len({row.users for row in rows}) > 1
    several_distances = len({row.round_trip for row in rows}) > 1
    waiting = any(row.waiting for row in rows)
    unseen = all(row.server.processes is None for row in rows)  # somebody else's servers
    columns = ["users"] if several_users else []
    columns += ["ms\naway"] if several_distances else []
    if waiting:
        columns += [] if unseen else ["threads\nkB a request"]
    else:
        columns += ["req/s\n95 %", "failed" if unseen else "of ceiling\nfailed"]
    alone = without_bystander(rows)
    columns += ["p50 ms\np99"]
    if not (alone and unseen):
        columns += ["CPU ms\nthreads" if alone else "bystander ms\nlongest"]
    columns += [] if waiting or unseen else ["conns\nMB"]
    table.add_column(f"variant\n  {'where' if unseen else 'processes × threads'}", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        name = row.variant if row.valid else f"{row.variant} (invalid)"
        cells = [f"{name}\n  {row.deployment}" + (f", {row.shape}" if row.workers else "")]
        cells += [f"{row.users:,}"] if several_users else []
        cells += [f"{row.round_trip:g}"] if several_distances else []
        if waiting:
            cells += [] if unseen else [_waiting(row)]
        else:
            rate, share = _throughput(row)
            cells += [rate, share.lstrip("\n") if unseen else share]
        cells += [_latency(row)]
        if not (alone and unseen):
            cells += [_cost(row) if alone else _bystander(row)]
        connections, memory = count_of(row.server.db_connections), figure(row.server.rss_mb)
        cells += [] if waiting or unseen else [f"{connections}\n{memory}"]
        table.add_row(*cells, style=None if row.valid else COLOURS["invalid"])
    return table


def _throughput(row: Measurement) -> list[str]:
    rate, share, failed = row.throughput, row.share_of_ceiling, row.share_failed
    return [
        f"{figure(rate.mean)}\n{interval(rate.low, rate.high)}",
        ("" if share is None else f"{100 * share:.0f} %")
        + ("\n" if not failed else f"\n{figure(100 * failed)} %"),
    ]


def _latency(row: Measurement) -> str:
    if row.backlog_growth is not None:
        return f"backlog\n+{figure(row.backlog_growth)}/s"
    return f"{figure(row.latency_ms.p50)}\n{figure(row.latency_ms.p99)}"


def _bystander(row: Measurement) -> str:
    return f"{figure(row.bystander_ms.p50)}\n{figure(row.bystander_ms.typical_longest)}"


def _cost(row: Measurement) -> str:
    return f"{figure(row.server.cpu_ms_per_request)}\n{count_of(row.server.threads)}"


def _waiting(row: Measurement) -> str:
    return f"{count_of(row.server.threads)}\n{figure(row.kb_per_request)}"


def count_line(verdicts: Iterable[Verdict]) -> str:
    """The last line of a run: `8 held, 1 refuted, 0 inconclusive, 0 invalid`."""
    return ", ".join(
        f"{count} {OUTCOMES[outcome].counted}" for outcome, count in counts(verdicts).items()
    )


def sureness(verdicts: Sequence[Verdict], stricter: Sequence[Verdict]) -> str:
    """Say how many of a run's verdicts may be false; "" of a few, which nobody adds up.

    stricter: the same, as they were if all of them were to be right together 95 times in 100.
    """
    count, stand = decided(verdicts), decided(stricter)
    if count < MANY_VERDICTS:
        return ""
    return (
        f"Each verdict is wrong at most 2.5 times in 100: of {count}, "
        f"{count * ALPHA / 2:.0f} if every truth lay on its bound.\n"
        f"{stand} of them stand even if all together are to be right 95 times in 100.\n"
    )


def print_again(
    saved: Saved, slugs: Sequence[str], console: Console, every_reason: bool = False
) -> list[Verdict]:
    """Print a result's tables and verdicts, of these comparisons or of all. Return the verdicts."""
    verdicts: list[Verdict] = []
    chosen = [slug for slug in saved.slugs if slug in slugs or not slugs]
    for slug in chosen:
        rows, found = saved.summary(slug)
        declared = saved.declared.get(slug)
        title = heading(declared) if declared else _heading_of_rows(slug, rows)
        print_summary(title, rows, found, console, every_reason)
        verdicts += found
    if own := [slug for slug in chosen if not saved.can_be_computed(slug)]:
        why = saved.why_missing or f"of {', '.join(own)} it has no samples or no expectations"
        console.print(f"\n{why}: the figures are the file's own", soft_wrap=True, highlight=False)
    return verdicts
