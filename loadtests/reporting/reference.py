"""What the README shows of the reference run; `python -m loadtests.reporting.reference` remakes it.

Reads loadtests/results/reference.json; writes the findings and the table between the markers of two
READMEs, and the picture beside the pages' other static files.
"""

from project import command

if __name__ == "__main__":
    command.begin()

from dataclasses import dataclass
from itertools import groupby
from math import nan
from pathlib import Path

import django

from project.processes import BASE_DIR

django.setup()

from matplotlib import rc_context  # noqa: E402

from comparisons import result_store  # noqa: E402
from comparisons.result import (  # noqa: E402
    OUTCOMES,
    Measurement,
    Result,
    counts,
    figure,
    interval,
    timestamp,
)
from loadtests.reporting import charts  # noqa: E402

REFERENCE = BASE_DIR / "loadtests" / "results" / result_store.REFERENCE
PICTURE = BASE_DIR / "comparisons" / "static" / "comparisons" / "reference.svg"
PICTURED = ("blocking-call", "workers", "threads", "sequential-awaits")

MADE_BY = "python -m loadtests.reporting.reference"


@dataclass(frozen=True)
class Finding:
    """A sentence about a verdict, with what was measured as {factor} or as {percent}."""

    slug: str
    expectation: str  # how it begins
    sentence: str


FINDINGS = [
    Finding(
        "blocking-call",
        "async_native throughput of async_blocking",
        "Without one blocking call in it, an async view serves {factor} times as many requests.",
    ),
    Finding(
        "blocking-call",
        "sync throughput of async_native",
        "Where each user has a thread, the sync view serves {percent} % of what the async one "
        "serves: async is another technique, not a faster one.",
    ),
    Finding(
        "sequential-awaits",
        "async_gather throughput of async_sequential",
        "Awaiting one call after another gains nothing; three gathered calls serve {factor} times "
        "as much.",
    ),
    Finding(
        "workers",
        "async_two_processes throughput of async_one_process",
        "CPU-bound work needs processes: two serve {factor} times what one serves.",
    ),
    Finding(
        "workers",
        "async_two_loops throughput of async_one_process",
        "A second event loop in the same process does not help: {percent} % of what one serves.",
    ),
    Finding(
        "thread-hops",
        "async_many_hops cpu_per_request of async_native",
        "A view that hands each small step to a thread takes {factor} times the CPU of one that "
        "does not.",
    ),
    Finding(
        "start-up",
        "async_under_wsgi cpu_per_request of sync",
        "An async view under WSGI takes {factor} times the CPU of the sync one.",
    ),
    Finding(
        "connection-per-request",
        "sync_new latency of sync_persistent",
        "Connecting to Postgres for each request takes {factor} times as long as keeping the "
        "connection.",
    ),
    Finding(
        "orm-in-async",
        "async_orm throughput of sync",
        "The ORM's async methods are the sync ones in a thread: they serve {percent} % of "
        "what the sync view serves.",
    ),
    Finding(
        "gathered-queries",
        "async_native latency of async_orm",
        "Gathered ORM queries run one after another; with a connection each, five queries take "
        "{percent} % of the time.",
    ),
    Finding(
        "streaming-response",
        "async_native memory of async_list",
        "A response streamed from an async cursor takes {percent} % of the memory of a list.",
    ),
]


def machine(result: Result) -> str:
    """One line: when, on what, with what."""
    it = result.environment
    return (
        f"Measured {timestamp(result.finished or result.started)} on {it['cpu_count']} cores of an "
        f"{it['cpu_model']}, Python {it['python']}, Django {it['django']}, "
        f"PostgreSQL {it['postgres']}, uvicorn {it['uvicorn']}, gunicorn {it['gunicorn']}, "
        f"locust {it['locust']}."
    )


def table(result: Result) -> str:
    """Markdown: a line per comparison, with its first expectation and the count of all."""
    lines = [
        "| comparison | its first expectation | measured | all |",
        "|---|---|---|---|",
    ]
    for slug, of_slug in groupby(result.verdicts, lambda verdict: verdict.comparison):
        verdicts = list(of_slug)
        first = verdicts[0]
        measured = first.because
        if first.outcome != "invalid":
            bounds = interval(first.low, first.high)
            measured = f"{first.words.sign} {figure(first.measured)} ({bounds})"
        every = " ".join(
            f"{count} {OUTCOMES[outcome].sign}"
            for outcome, count in counts(verdicts).items()
            if count
        )
        lines.append(f"| `{slug}` | {first.expectation} | {measured} | {every} |")
    return "\n".join(lines) + "\n"


def finding(result: Result, about: Finding) -> str:
    """A line of Markdown. LookupError if the result has no such verdict."""
    (verdict, *_) = [
        verdict
        for verdict in result.verdicts
        if verdict.comparison == about.slug and verdict.expectation.startswith(about.expectation)
    ]
    measured = verdict.measured or nan
    sentence = about.sentence.format(factor=figure(measured), percent=f"{100 * measured:.0f}")
    return f"- {verdict.words.sign} {sentence} (`{about.slug}`)"


def blocks(result: Result) -> dict[Path, tuple[str, str, str]]:
    """What is generated: by file, the lines before and after it, and the text between them."""
    findings = "\n".join(finding(result, about) for about in FINDINGS)
    return {
        BASE_DIR / "README.md": (
            f"<!-- findings: {MADE_BY} -->\n",
            "<!-- end of findings -->\n",
            f"\n{findings}\n\n{machine(result)}\n\n",
        ),
        BASE_DIR / "loadtests" / "README.md": (
            f"<!-- results: {MADE_BY} -->\n",
            "<!-- end of results -->\n",
            f"\n{table(result)}\n{machine(result)}\n\n",
        ),
    }


def pictured(result: Result) -> list[Measurement]:
    return [row for row in result.measurements if row.comparison in PICTURED]


def main() -> None:
    result = result_store.read(REFERENCE)
    for file, (begin, end, text) in blocks(result).items():
        before, _, rest = file.read_text().partition(begin)
        file.write_text(before + begin + text + end + rest.partition(end)[2])
    figure = charts.throughput(pictured(result))
    with rc_context({"svg.hashsalt": "reference"}):  # the same picture from the same result
        figure.savefig(PICTURE, metadata={"Date": None})


if __name__ == "__main__":
    command.run(main)
