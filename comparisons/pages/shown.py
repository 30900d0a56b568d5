"""What the pages show of result files: each comparison's latest result, in words and digits."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils.safestring import SafeString

from comparisons import result_store
from comparisons.pages.prose import prose
from comparisons.result import (
    MISSING,
    OUTCOMES,
    Measurement,
    Outcome,
    Result,
    Verdict,
    Words,
    counts,
    figure,
    interval,
    without_bystander,
)
from comparisons.result_store import ResultError
from comparisons.sentences import sentence, terms


@dataclass(frozen=True)
class ShownRun:
    """One result file: when and where it was measured."""

    file: str
    started: datetime
    machine: str
    cpus: str
    python: str
    django: str


@dataclass(frozen=True)
class ShownRow:
    """One measurement, a field for each cell of the table."""

    variant: str
    deployment: str
    load: str
    rounds: int
    shape: str
    throughput: str
    interval: str
    failed: str
    of_ceiling: str
    p50: str
    p99: str
    # A bystander's median wait, and the longest of a round: what verdicts speak of.
    bystander: str
    bystander_max: str
    cpu: str  # ms a request
    threads: str  # of the server
    connections: str
    memory: str  # MB
    # Where requests only wait: kB that the server grew by for each of them.
    waiting: str | None
    invalid_because: list[str] | None


@dataclass(frozen=True)
class ShownVerdict:
    outcome: Outcome
    sign: str
    found: str
    beside: str  # what was expected and how sure it is, in parentheses
    why: SafeString
    because: str


# The columns of the table, as the page explains them.
SERVED = [
    ("Requests/s", "successful answers a second, and their interval of 95 %"),
    ("Failed", "the share of all answers"),
    ("Of ceiling", "the share of what the work allows at most"),
]
THREADS = ("Threads in all", "of the server, whatever they are for")
WAITED = [
    THREADS,
    ("kB a request", "memory that the server grew by for each request that waits"),
]
ALWAYS = [
    ("Processes × threads", "those that serve requests"),
    ("p50, p99", "what half and 99 of 100 successful answers take at most"),
    ("Database connections", "that the server had open at once, at most"),
    ("MB", "memory of the server, at most"),
]
BYSTANDER = [
    ("Bystander", "how long a user of a trivial view of the same server waits, typically"),
    ("Longest", "the bystander's longest wait of a round, typically"),
]
COST = [("CPU", "CPU time of the server, for each request"), THREADS]


@dataclass(frozen=True)
class ShownResult:
    """What one run says of one comparison."""

    run: ShownRun
    rows: list[ShownRow]
    verdicts: list[ShownVerdict]
    terms: list[tuple[str, str]]
    counts: list[tuple[Outcome, Words, int]]
    alone: bool  # no bystander: what a request costs stands in its place

    @property
    def one_load(self) -> str | None:
        """The load of all rows; None where they differ, and each row says its own."""
        loads = {row.load for row in self.rows}
        return loads.pop() if len(loads) == 1 else None

    @property
    def waiting(self) -> bool:
        """Whether requests only waited: then their number a second says nothing."""
        return any(row.waiting for row in self.rows)

    @property
    def columns(self) -> list[tuple[str, str]]:
        """What the columns of figures mean."""
        answers = WAITED if self.waiting else SERVED
        beside = COST if self.alone and not self.waiting else []
        return answers + ALWAYS + (beside if self.alone else BYSTANDER)

    @property
    def rounds(self) -> str:
        fewest, most = (pick(row.rounds for row in self.rows) for pick in (min, max))
        return str(most) if fewest == most else f"{fewest} to {most}"


def latest_results(slugs: Collection[str]) -> tuple[dict[str, ShownResult], list[str]]:
    """Find the newest result of each comparison, and a notice for each file that is no result.

    Files are read from the newest on, until every comparison has its result.
    """
    found: dict[str, ShownResult] = {}
    notices: list[str] = []
    for path in result_store.newest_first(settings.RESULTS_DIR):
        try:
            result = result_store.read(path)
        except ResultError as error:
            notices.append(f"{path.name}: {error.problem}")
            continue
        if result.options.get("null"):
            continue  # variants measured against themselves: no claim is decided
        measured = {measurement.comparison for measurement in result.measurements}
        for slug in slugs:
            if slug in measured and slug not in found:
                found[slug] = _result(path.name, result, slug)
        if len(found) == len(slugs):
            break
    return found, notices


def _result(file: str, result: Result, slug: str) -> ShownResult:
    verdicts = [verdict for verdict in result.verdicts if verdict.comparison == slug]
    rows = [row for row in result.measurements if row.comparison == slug]
    return ShownResult(
        run=_run(file, result),
        rows=[_row(row) for row in rows],
        verdicts=[_verdict(verdict) for verdict in verdicts],
        terms=terms(verdicts),
        counts=[
            (outcome, OUTCOMES[outcome], count)
            for outcome, count in counts(verdicts).items()
            if count
        ],
        alone=without_bystander(rows),
    )


def _run(file: str, result: Result) -> ShownRun:
    def environment(key: str) -> str:
        return str(result.environment.get(key, "?"))

    return ShownRun(
        file=file,
        started=result.started,
        machine=environment("cpu_model"),
        cpus=environment("cpu_count"),
        python=environment("python"),
        django=environment("django"),
    )


def _row(row: Measurement) -> ShownRow:
    share = row.share_of_ceiling
    return ShownRow(
        variant=row.variant,
        deployment=row.deployment,
        load=_load(row),
        rounds=row.rounds,
        shape=row.shape,
        throughput=figure(row.throughput.mean),
        interval=interval(row.throughput.low, row.throughput.high),
        failed=f"{figure(100 * row.share_failed)} %" if row.share_failed else MISSING,
        of_ceiling=MISSING if share is None else f"{100 * share:.0f} %",
        p50=_latency(row),
        p99=figure(row.latency_ms.p99),
        bystander=figure(row.bystander_ms.p50),
        bystander_max=figure(row.bystander_ms.typical_longest),
        cpu=figure(row.server.cpu_ms_per_request),
        threads=f"{row.server.threads:,}",
        connections=str(row.server.db_connections),
        memory=figure(row.server.rss_mb),
        waiting=figure(row.kb_per_request) if row.waiting else None,
        invalid_because=None if row.valid else row.invalid_because,
    )


def _latency(row: Measurement) -> str:
    if row.backlog_growth is not None:
        return f"backlog grows by {figure(row.backlog_growth)}/s"
    return figure(row.latency_ms.p50)


def _load(row: Measurement) -> str:
    """For instance `10 users, 5 ms round trip`."""
    load = f"{row.users:,} user{'' if row.users == 1 else 's'}"
    if row.rate:
        load = f"{row.rate:g} requests/s asked for"
    if row.round_trip:
        load += f", {row.round_trip:g} ms round trip"
    return load


def _verdict(verdict: Verdict) -> ShownVerdict:
    found, beside, rest = sentence(verdict).partition(" (")
    return ShownVerdict(
        outcome=verdict.outcome,
        sign=verdict.words.sign,
        found=found,
        beside=beside + rest,
        why=prose(verdict.expected.why if verdict.expected else ""),
        because="" if verdict.outcome == "invalid" else verdict.because,
    )
