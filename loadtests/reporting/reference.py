"""What the README shows of the reference run; `python -m loadtests.reporting.reference` remakes it.

Reads loadtests/results/reference.json; writes the findings and the table between the markers of two
READMEs, and the pictures beside the pages' other static files.
"""

from project import command

if __name__ == "__main__":
    command.begin()

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from math import log
from pathlib import Path

import django

from project.processes import BASE_DIR

django.setup()

from comparisons import result_store  # noqa: E402
from comparisons.pages import drawing  # noqa: E402
from comparisons.registry import SHARES, THEORY  # noqa: E402
from comparisons.result import (  # noqa: E402
    MISSING,
    OUTCOMES,
    Result,
    Verdict,
    counts,
    figure,
    timestamp,
)
from comparisons.sentences import sentence  # noqa: E402
from loadtests.reporting import charts  # noqa: E402

REFERENCE = BASE_DIR / "loadtests" / "results" / result_store.REFERENCE
PICTURES = BASE_DIR / "comparisons" / "static" / "comparisons"


@dataclass(frozen=True)
class Pictured:
    """A panel of the picture: title and about as it shows them, and its bars' words by variant."""

    slug: str
    title: str
    about: str
    bars: Mapping[str, str]


# As the findings that the README begins with.
ANSWERS = [
    Pictured(
        "blocking-call",
        "One blocking call makes everyone wait",
        "each request asks a slow service once",
        {
            "sync": "sync, a thread for each",
            "async_blocking": "async, blocking client",
            "async_threaded": "async, client in a thread",
            "async_native": "async, awaited client",
        },
    ),
    Pictured(
        "sequential-awaits",
        "Concurrency must be asked for",
        "each request asks a slow service three times",
        {
            "sync": "sync, in turn",
            "async_sequential": "async, await in turn",
            "sync_threads": "sync, in three threads",
            "async_gather": "async, gathered",
        },
    ),
    Pictured(
        "workers",
        "CPU-bound work needs processes",
        "each request computes",
        {
            "sync": "sync, one process",
            "async_one_process": "async, one process",
            "async_two_loops": "async, two event loops",
            "async_two_processes": "async, two processes",
        },
    ),
    Pictured(
        "connection-per-request",
        "Keep database connections",
        "each request makes one query",
        {
            "sync_new": "sync, a new connection",
            "async_new": "async, a new connection",
            "sync_persistent": "sync, a kept one",
            "async_django_pool": "async, from a pool",
        },
    ),
]

REQUEST_PATH = [
    Pictured(
        "request-path",
        "What a request costs besides the view",
        "each answers at once",
        {
            "async_starlette": "Starlette",
            "async_direct": "async, our handler",
            "async_stock": "async, Django's handler",
            "sync": "sync, threads (WSGI)",
            "sync_asgi": "sync, Django's handler",
        },
    ),
    Pictured(
        "middleware",
        "Startproject's seven middleware",
        "each answers at once",
        {
            "async_direct": "async, our handler, none",
            "async_direct_seven": "async, our handler, seven",
            "async_view": "async, Django's, none",
            "async_seven": "async, Django's, seven",
            "sync_seven": "sync, threads, seven",
        },
    ),
]
# By the name of its file.
PICTURED = {"reference": ANSWERS, "request-path": REQUEST_PATH}

MADE_BY = "python -m loadtests.reporting.reference"


@dataclass(frozen=True)
class Finding:
    """A sentence about a verdict: its {factor} or {percent}, and the least expected as {bound}."""

    slug: str
    expectation: str  # how it begins
    sentence: str


# What changes what a Django developer does: the README begins with it.
FINDINGS = [
    Finding(
        "blocking-call",
        "async_native throughput of async_blocking",
        "One blocking call in an async view makes everybody wait: without it the view serves "
        "**{factor} times** as many requests.",
    ),
    Finding(
        "blocking-call",
        "sync throughput of async_native",
        "Async is not faster by itself: where each user has a thread, the sync view serves "
        "**{percent} %** of what the async one serves.",
    ),
    Finding(
        "sequential-awaits",
        "async_gather throughput of async_sequential",
        "Awaiting one call after another gains nothing: three gathered calls serve "
        "**{factor} times** as much.",
    ),
    Finding(
        "workers",
        "async_two_processes throughput of async_one_process",
        "CPU-bound work needs processes, not async: two serve **{factor} times** what one serves.",
    ),
    Finding(
        "connection-per-request",
        "sync_new latency of sync_persistent",
        "Keep database connections: connecting for each request takes **{factor} times** as "
        "long as the query on a kept one.",
    ),
]
REQUEST_PATH_FINDINGS = [
    Finding(
        "request-path",
        "async_direct throughput of async_stock",
        "An async view serves **{factor} times** as many requests on our handler as on Django's.",
    ),
    Finding(
        "middleware",
        "async_direct_seven cpu_per_request of async_seven",
        "With startproject's seven middleware a request takes **{percent} %** of the CPU time that "
        "it takes with Django's handler.",
    ),
    Finding(
        "request-path",
        "async_direct_query throughput of async_stock_query",
        "With one query through an async pool it serves **{factor} times** as many.",
    ),
    Finding(
        "request-path",
        "async_direct throughput of async_starlette",
        "Starlette stays ahead: our handler serves **{percent} %** of what it serves; at least "
        "{bound} % was expected.",
    ),
    Finding(
        "request-path",
        "async_direct_query throughput of async_starlette_query",
        "With the query it is **{percent} %**; at least {bound} % was expected.",
    ),
]
QUESTION_FINDINGS = [
    Finding(
        "connection-held",
        "sync_held latency of wait",
        "A request keeps its connection until its end: 20 users of a view that queries, and then "
        "waits elsewhere, are answered after **{factor} times** its wait by a pool of four.",
    ),
    Finding(
        "servers",
        "sync_one_at_a_time throughput of sync_threads",
        "A page that mostly waits needs a place for each user: a sync worker, which has one, "
        "serves **{percent} %** of what threads serve to eight.",
    ),
    Finding(
        "servers-trivial",
        "async_uvicorn cpu_per_request of sync_threads",
        "Whatever the server, Django's ASGI handler makes async views dear: one that does nothing "
        "takes **{factor} times** the CPU time of a sync one in a thread.",
    ),
    Finding(
        "gevent",
        "sync_computing bystander of wait",
        "Under gevent sync views wait together, but one that computes stops all: a bystander waits "
        "**{factor} times** as long as one computation takes.",
    ),
    Finding(
        "client-per-request",
        "async_shared_context latency of async_shared",
        "A new HTTP client for each request loads certificates on the event loop, and connects: "
        "connecting alone makes it **{factor} times** as long.",
    ),
]
MORE_FINDINGS = [
    Finding(
        "workers",
        "async_two_loops throughput of async_one_process",
        "A second event loop in the same process does not help: **{percent} %** of what one "
        "serves.",
    ),
    Finding(
        "thread-hops",
        "async_many_hops cpu_per_request of async_native",
        "A view that hands each small step to a thread takes **{factor} times** the CPU of one "
        "that does not.",
    ),
    Finding(
        "start-up",
        "async_under_wsgi cpu_per_request of sync",
        "An async view under WSGI takes **{factor} times** the CPU of the sync one.",
    ),
    Finding(
        "orm-in-async",
        "async_orm throughput of sync",
        "The ORM's async methods are the sync ones in a thread: they serve **{percent} %** of "
        "what the sync view serves.",
    ),
    Finding(
        "gathered-queries",
        "async_native latency of async_orm",
        "Gathered ORM queries run one after another; with a connection each, five queries take "
        "**{percent} %** of the time.",
    ),
    Finding(
        "streaming-response",
        "async_native memory of async_list",
        "A response streamed from an async cursor takes **{percent} %** of the memory of a list.",
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


def not_held(result: Result) -> str:
    """Markdown: a line for every verdict that is refuted, undecided or invalid, in this order."""
    lines = [
        f"- {verdict.words.sign} {sentence(verdict)} (`{verdict.comparison}`)"
        for outcome in OUTCOMES
        for verdict in result.verdicts
        if verdict.outcome == outcome != "holds"
    ]
    return "\n".join(["Of all verdicts these do not hold:", "", *lines]) if lines else "All hold."


def most_telling(verdicts: Sequence[Verdict], pitfalls: Set[str]) -> Verdict:
    """What a pitfall does compared with what is none; else what is refuted; else of a pitfall.

    Of several of a kind one that is decided, and of these the one with the greatest effect.
    """

    def rank(verdict: Verdict) -> tuple[int, bool, float]:
        expected = verdict.expected
        if not expected or verdict.outcome == "invalid":
            return 4, True, 0
        sides = {expected.variant, expected.of} & pitfalls
        of_variants = expected.of is not None and expected.of not in THEORY
        telling = (of_variants and len(sides) == 1, verdict.outcome == "refuted", bool(sides), True)
        return telling.index(True), verdict.outcome == "inconclusive", -effect(verdict)

    return min(verdicts, key=rank)


def effect(verdict: Verdict) -> float:
    """How far what was measured is from no difference: of a ratio, in logarithms; of a share, it.

    A value, such as a number of threads, has no such zero.
    """
    expected, measured = verdict.expected, verdict.measured or 0
    if expected is None or measured <= 0:
        return 0
    if expected.metric in SHARES:
        return measured
    return abs(log(measured)) if expected.of is not None else 0


def finding(result: Result, about: Finding) -> str:
    """A line of Markdown. LookupError if the result has no such verdict."""
    (verdict, *_) = [
        verdict
        for verdict in result.verdicts
        if verdict.comparison == about.slug and verdict.expectation.startswith(about.expectation)
    ]
    percent = "{percent}" in about.sentence
    measured, low, high = (
        _plain(end, percent) for end in (verdict.measured, verdict.low, verdict.high)
    )
    bound = _plain(verdict.expected.low if verdict.expected else None, percent)
    said = about.sentence.format(factor=measured, percent=measured, bound=bound)
    sure = f"95 % sure of {low} to {high}{' %' if percent else ''}"
    return f"- {verdict.words.sign} {said} ({sure}; `{about.slug}`)"


def _plain(value: float | None, percent: bool) -> str:
    """Two digits, as one says a factor: 6.3; a percentage without decimals: 58."""
    if value is None:
        return MISSING
    return f"{100 * value:.0f}" if percent else figure(float(f"{value:.2g}"))


@dataclass(frozen=True)
class Block:
    """What is generated in a file: the text between two lines."""

    file: Path
    begin: str
    end: str
    text: str


def blocks(result: Result) -> list[Block]:
    answers, request_path, questions, more = (
        "\n".join(finding(result, about) for about in findings)
        for findings in (FINDINGS, REQUEST_PATH_FINDINGS, QUESTION_FINDINGS, MORE_FINDINGS)
    )
    readme, measuring = BASE_DIR / "README.md", BASE_DIR / "loadtests" / "README.md"
    results = f"{more}\n\n{table(result)}\n{not_held(result)}\n\n{machine(result)}"
    return [
        block(readme, "findings", f"{answers}\n\n{machine(result)}"),
        block(readme, "request path", request_path),
        block(readme, "questions", questions),
        block(measuring, "results", results),
    ]


def block(file: Path, name: str, text: str) -> Block:
    begin, end = f"<!-- {name}: {MADE_BY} -->\n", f"<!-- end of {name} -->\n"
    return Block(file, begin, end, f"\n{text}\n\n")


def panels(result: Result, pictured: Sequence[Pictured]) -> list[charts.Panel]:
    """What a picture shows. LookupError if the result lacks one of its rows."""
    pitfalls = {row["comparison"]: row["pitfalls"] for row in result.declared}
    shown = []
    for of in pictured:
        # The first of a variant is its nearest case.
        first = {
            row.variant: row for row in reversed(result.measurements) if row.comparison == of.slug
        }
        bars = [
            charts.Bar(words, first[variant], variant in pitfalls[of.slug])
            for variant, words in of.bars.items()
        ]
        users = bars[0].row.users
        shown.append(charts.Panel(of.title, f"{users} users; {of.about}", bars))
    return shown


def main() -> None:
    result = result_store.read(REFERENCE)
    for made in blocks(result):
        before, _, rest = made.file.read_text().partition(made.begin)
        after = rest.partition(made.end)[2]
        made.file.write_text(before + made.begin + made.text + made.end + after)
    for name, pictured in PICTURED.items():
        picture = charts.throughput(panels(result, pictured))
        (PICTURES / f"{name}.svg").write_text(drawing.svg(picture) + "\n")


if __name__ == "__main__":
    command.run(main)
