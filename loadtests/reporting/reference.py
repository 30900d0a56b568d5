"""What the README shows of the reference run; `python -m loadtests.reporting.reference` remakes it.

Reads loadtests/results/reference.json; writes the findings and the table between the markers of two
READMEs, and the picture beside the pages' other static files.
"""

from project import command

if __name__ == "__main__":
    command.begin()

from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from math import nan
from pathlib import Path

import django

from project.processes import BASE_DIR

django.setup()

from matplotlib import rc_context  # noqa: E402

from comparisons import result_store  # noqa: E402
from comparisons.registry import THEORY  # noqa: E402
from comparisons.result import (  # noqa: E402
    OUTCOMES,
    Measurement,
    Result,
    Verdict,
    counts,
    figure,
    interval,
    timestamp,
)
from comparisons.sentences import sentence  # noqa: E402
from loadtests.reporting import charts  # noqa: E402

REFERENCE = BASE_DIR / "loadtests" / "results" / result_store.REFERENCE
PICTURE = BASE_DIR / "comparisons" / "static" / "comparisons" / "reference.svg"
# The panels of the picture, each with what it shows.
PICTURED = {
    "blocking-call": "One blocking call stops an async view",
    "sequential-awaits": "Calls that wait together, in any colour",
    "threads": "Threads wait as well, if there are enough",
    "workers": "CPU work needs processes",
}

MADE_BY = "python -m loadtests.reporting.reference"


@dataclass(frozen=True)
class Finding:
    """A sentence about a verdict, with what was measured as {factor} or as {percent}."""

    slug: str
    expectation: str  # how it begins
    sentence: str


# What changes what a Django developer does: the README begins with it.
FINDINGS = [
    Finding(
        "blocking-call",
        "async_native throughput of async_blocking",
        "One blocking call in an async view makes everybody wait: without it the view serves "
        "{factor} times as many requests.",
    ),
    Finding(
        "blocking-call",
        "sync throughput of async_native",
        "Async is not faster by itself: where each user has a thread, the sync view serves "
        "{percent} % of what the async one serves.",
    ),
    Finding(
        "sequential-awaits",
        "async_gather throughput of async_sequential",
        "Awaiting one call after another gains nothing: three gathered calls serve {factor} times "
        "as much.",
    ),
    Finding(
        "workers",
        "async_two_processes throughput of async_one_process",
        "CPU-bound work needs processes, not async: two serve {factor} times what one serves.",
    ),
    Finding(
        "connection-per-request",
        "sync_new latency of sync_persistent",
        "Keep database connections: connecting for each request takes {factor} times as long as "
        "the query on a kept one.",
    ),
]
MORE_FINDINGS = [
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
    """Markdown: a line per comparison, with its most telling verdict and the count of all."""
    lines = ["| comparison | what was found | all |", "|---|---|---|"]
    pitfalls = {row["comparison"]: set(row["pitfalls"]) for row in result.declared}
    for slug, of_slug in groupby(result.verdicts, lambda verdict: verdict.comparison):
        verdicts = list(of_slug)
        telling = most_telling(verdicts, pitfalls.get(slug, set()))
        every = " ".join(
            f"{count} {OUTCOMES[outcome].sign}"
            for outcome, count in counts(verdicts).items()
            if count
        )
        lines.append(f"| `{slug}` | {telling.words.sign} {sentence(telling)} | {every} |")
    return "\n".join(lines) + "\n"


def most_telling(verdicts: Sequence[Verdict], pitfalls: Set[str]) -> Verdict:
    """The first that compares a pitfall with what is none; else the first that speaks of one."""

    def rank(verdict: Verdict) -> int:
        expected = verdict.expected
        if not expected or verdict.outcome == "invalid":
            return 3
        sides = {expected.variant, expected.of} & pitfalls
        of_variants = expected.of is not None and expected.of not in THEORY
        return 2 if not sides else 0 if of_variants and len(sides) == 1 else 1

    return min(verdicts, key=rank)


def finding(result: Result, about: Finding) -> str:
    """A line of Markdown. LookupError if the result has no such verdict."""
    (verdict, *_) = [
        verdict
        for verdict in result.verdicts
        if verdict.comparison == about.slug and verdict.expectation.startswith(about.expectation)
    ]
    measured = verdict.measured or nan
    said = about.sentence.format(factor=figure(measured), percent=f"{100 * measured:.0f}")
    low, high = verdict.low, verdict.high
    if "{percent}" in about.sentence:
        low, high = (None if end is None else round(100 * end) for end in (low, high))
    bounds = interval(low, high)
    return f"- {verdict.words.sign} {said} (95 % sure of {bounds}: `{about.slug}`)"


def blocks(result: Result) -> dict[Path, tuple[str, str, str]]:
    """What is generated: by file, the lines before and after it, and the text between them."""
    findings, more = (
        "\n".join(finding(result, about) for about in findings)
        for findings in (FINDINGS, MORE_FINDINGS)
    )
    return {
        BASE_DIR / "README.md": (
            f"<!-- findings: {MADE_BY} -->\n",
            "<!-- end of findings -->\n",
            f"\n{findings}\n\n{machine(result)}\n\n",
        ),
        BASE_DIR / "loadtests" / "README.md": (
            f"<!-- results: {MADE_BY} -->\n",
            "<!-- end of results -->\n",
            f"\n{more}\n\n{table(result)}\n{machine(result)}\n\n",
        ),
    }


def pictured(result: Result) -> list[Measurement]:
    rows = [row for row in result.measurements if row.comparison in PICTURED]
    return sorted(rows, key=lambda row: [*PICTURED].index(row.comparison))


def main() -> None:
    result = result_store.read(REFERENCE)
    for file, (begin, end, text) in blocks(result).items():
        before, _, rest = file.read_text().partition(begin)
        file.write_text(before + begin + text + end + rest.partition(end)[2])
    figure = charts.throughput(pictured(result), PICTURED)
    with rc_context({"svg.hashsalt": "reference"}):  # the same picture from the same result
        figure.savefig(PICTURE, metadata={"Date": None})


if __name__ == "__main__":
    command.run(main)
