"""What the pages show of result files: each comparison's latest result, in words and digits."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from django.conf import settings
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from comparisons import result_store
from comparisons.advice import Advice
from comparisons.pages.prose import prose
from comparisons.reasons import reason
from comparisons.refuted import explanation
from comparisons.registry import THEORY
from comparisons.result import (
    MISSING,
    OUTCOMES,
    Hold,
    Measurement,
    Outcome,
    Result,
    Verdict,
    count_of,
    counts,
    figure,
    in_digits,
    interval,
    longest_holds,
    percentage,
    without_bystander,
)
from comparisons.result_store import ResultError
from comparisons.sentences import sentence, terms
from comparisons.traces import ms

T = TypeVar("T", Measurement, Verdict)

LOOKED_AT = 12  # files that are read to see what they are of, the newest


class UnknownResultError(Exception):
    """There is no result file of this name."""


@dataclass(frozen=True)
class ShownRun:
    """One result file: when and where it was measured."""

    file: str
    started: datetime
    machine: str
    cpus: str
    cpus_counted: int  # for the plural; 0 if it is no number
    versions: Sequence[tuple[str, str]]  # for instance ("Python", "3.13.9")


# --- The table of measurements


@dataclass(frozen=True)
class Column:
    """A column of figures: what it is called, its unit, what it means, and a row's figure."""

    name: str | Promise
    unit: str
    meaning: str | Promise
    figure: Callable[[Measurement], str]
    interval: Callable[[Measurement], str] = lambda row: ""


@dataclass(frozen=True)
class Cell:
    column: Column
    text: str
    interval: str


@dataclass(frozen=True)
class ShownRow:
    """One measurement, a cell for each column of figures."""

    variant: str
    deployment: str
    load: str
    rounds: int
    cells: Sequence[Cell]
    invalid_because: list[str] | None


def _failed(row: Measurement) -> str:
    return percentage(figure(100 * row.share_failed)) if row.share_failed else MISSING


def _of_ceiling(row: Measurement) -> str:
    share = row.share_of_ceiling
    return MISSING if share is None else percentage(f"{100 * share:.0f}")


def _latency(row: Measurement) -> str:
    if row.backlog_growth is not None:
        return _("backlog grows by %(n)s/s") % {"n": figure(row.backlog_growth)}
    return figure(row.latency_ms.p50)


SLOTS = Column(
    gettext_lazy("Processes × threads"),
    "",
    gettext_lazy("those that serve requests"),
    lambda row: row.shape,
)
THREADS = Column(
    gettext_lazy("Threads in all"),
    "",
    gettext_lazy("of the server, whatever they are for"),
    lambda row: count_of(row.server.threads),
)
SERVED = [
    Column(
        gettext_lazy("Requests/s"),
        "",
        gettext_lazy("successful answers a second, and their interval of 95 %"),
        lambda row: figure(row.throughput.mean),
        lambda row: interval(row.throughput.low, row.throughput.high),
    ),
    Column(gettext_lazy("Failed"), "", gettext_lazy("the share of all answers"), _failed),
    Column(
        gettext_lazy("Of ceiling"),
        "",
        gettext_lazy("the share of what the work allows at most"),
        _of_ceiling,
    ),
]
WAITED = [
    THREADS,
    Column(
        gettext_lazy("kB a request"),
        "",
        gettext_lazy("memory that the server grew by for each request that waits"),
        lambda row: figure(row.kb_per_request),
    ),
]
LATENCY = [
    Column("p50", "ms", gettext_lazy("what half of the successful answers take at most"), _latency),
    Column(
        "p99",
        "ms",
        gettext_lazy("what 99 of 100 successful answers take at most"),
        lambda row: figure(row.latency_ms.p99),
    ),
]
BYSTANDER = [
    Column(
        gettext_lazy("Bystander"),
        "ms",
        gettext_lazy("how long a user of a trivial view of the same server waits, typically"),
        lambda row: figure(row.bystander_ms.p50),
    ),
    Column(
        gettext_lazy("Longest"),
        "ms",
        gettext_lazy("the bystander's longest wait of a round, typically"),
        lambda row: figure(row.bystander_ms.typical_longest),
    ),
]
COST = [
    Column(
        gettext_lazy("CPU"),
        "ms",
        gettext_lazy("CPU time of the server, for each request"),
        lambda row: figure(row.server.cpu_ms_per_request),
    ),
    THREADS,
]
USED = [
    Column(
        gettext_lazy("Database connections"),
        "",
        gettext_lazy("that the server had open at once, at most"),
        lambda row: count_of(row.server.db_connections),
    ),
    Column(
        gettext_lazy("Memory"),
        "MB",
        gettext_lazy("of the server, at most"),
        lambda row: figure(row.server.rss_mb),
    ),
]


COLUMNS = [*SERVED, WAITED[1], *LATENCY, *BYSTANDER, *COST, SLOTS, *USED]  # that there are


def _columns(rows: Sequence[Measurement]) -> list[Column]:
    # Where requests only wait, their number a second says nothing.
    waiting = any(row.waiting for row in rows)
    beside = BYSTANDER
    if without_bystander(rows):
        beside = [] if waiting else COST
    if all(row.server.processes is None for row in rows):  # somebody else's
        beside = [] if beside is COST else beside
        return [*([] if waiting else SERVED[:2]), *LATENCY, *beside]
    return [*(WAITED if waiting else SERVED), *LATENCY, *beside, SLOTS, *USED]


def _row(row: Measurement, columns: Sequence[Column]) -> ShownRow:
    return ShownRow(
        variant=row.variant,
        deployment=row.deployment,
        load=_load(row),
        rounds=row.rounds,
        cells=[Cell(column, column.figure(row), column.interval(row)) for column in columns],
        invalid_because=None if row.valid else [reason(why) for why in row.invalid_because],
    )


def _load(row: Measurement) -> str:
    """For instance `10 users, 5 ms round trip`."""
    if row.rate:
        load = _("%(rate)s requests/s asked for") % {"rate": in_digits(f"{row.rate:g}")}
    else:
        load = ngettext("%(users)s user", "%(users)s users", row.users) % {
            "users": in_digits(f"{row.users:,}")
        }
    if row.round_trip:
        trip = in_digits(f"{row.round_trip:g}")
        load = _("%(load)s, %(ms)s ms round trip") % {"load": load, "ms": trip}
    return load


# --- Verdicts


@dataclass(frozen=True)
class ShownVerdict:
    outcome: Outcome
    sign: str
    word: str
    found: str
    beside: str  # what was expected and how sure it is, in parentheses
    why: SafeString
    because: str
    explained: SafeString  # why it is refuted, where that is known


@dataclass(frozen=True)
class Chip:
    """What all verdicts of a comparison say together, in a word."""

    outcome: Outcome
    sign: str
    word: str


def _word(outcome: Outcome) -> str:
    words = {
        "holds": _("holds"),
        "refuted": _("refuted"),
        "inconclusive": _("inconclusive"),
        "invalid": _("invalid"),
    }
    return words[outcome]


def counted(outcome: Outcome, count: int) -> str:
    """For instance `3 held`."""
    words = {
        "holds": ngettext("%(n)d held", "%(n)d held", count),
        "refuted": ngettext("%(n)d refuted", "%(n)d refuted", count),
        "inconclusive": ngettext("%(n)d inconclusive", "%(n)d inconclusive", count),
        "invalid": ngettext("%(n)d invalid", "%(n)d invalid", count),
    }
    return words[outcome] % {"n": count}


def chip(verdicts: Sequence[Verdict]) -> Chip | None:
    """One that is refuted refutes the claim as it stands; else one that is open leaves it open."""
    outcomes = {verdict.outcome for verdict in verdicts}
    if not outcomes:
        return None
    if "refuted" in outcomes:
        return Chip("refuted", OUTCOMES["refuted"].sign, _("refuted in part"))
    if outcomes == {"holds"}:
        return Chip("holds", OUTCOMES["holds"].sign, _("held"))
    return Chip("inconclusive", OUTCOMES["inconclusive"].sign, _("undecided"))


def telling(verdicts: Sequence[Verdict]) -> Verdict:
    """Return what is refuted first; else what first tells two variants apart; else the first."""
    refuted = (verdict for verdict in verdicts if verdict.outcome == "refuted")
    apart = (
        verdict
        for verdict in verdicts
        if verdict.outcome == "holds"
        and (expected := verdict.expected)
        and expected.of not in (None, *THEORY)
        and not (expected.low and expected.high)
    )
    return next(refuted, None) or next(apart, verdicts[0])


def _verdict(verdict: Verdict) -> ShownVerdict:
    found, beside, rest = sentence(verdict).partition(" (")
    return ShownVerdict(
        outcome=verdict.outcome,
        sign=verdict.words.sign,
        word=_word(verdict.outcome),
        found=found,
        beside=beside + rest,
        why=prose(verdict.expected.why if verdict.expected else ""),
        because="" if verdict.outcome == "invalid" else reason(verdict.because),
        explained=prose(explanation(verdict)),
    )


# --- What held the event loop


@dataclass(frozen=True)
class ShownHold:
    """A line that held the event loop. deployment: "" where the variant was measured on one."""

    variant: str
    deployment: str
    hold: Hold
    time: str


def _holds(rows: Sequence[Measurement]) -> list[ShownHold]:
    places: dict[str, set[str]] = {}
    for row in rows:
        places.setdefault(row.variant, set()).add(row.deployment)
    return [
        ShownHold(
            variant=row.variant,
            deployment=row.deployment if len(places[row.variant]) > 1 else "",
            hold=hold,
            time=ms(hold.ms),
        )
        for row, hold in longest_holds(rows)
    ]


# --- A result


@dataclass(frozen=True)
class ShownResult:
    """What one run says of one comparison; put into words as far as a page asks for it."""

    file: str
    measured: Result  # the whole run
    measurements: Sequence[Measurement]
    judged: Sequence[Verdict]

    @cached_property
    def run(self) -> ShownRun:
        return run_of(self.file, self.measured)

    @cached_property
    def columns(self) -> list[Column]:
        return _columns(self.measurements)

    @cached_property
    def rows(self) -> list[ShownRow]:
        return [_row(row, self.columns) for row in self.measurements]

    @cached_property
    def verdicts(self) -> list[ShownVerdict]:
        return [_verdict(verdict) for verdict in self.judged]

    @cached_property
    def held(self) -> list[ShownHold]:
        return _holds(self.measurements)

    @cached_property
    def looked(self) -> int:
        """Of how many rows somebody looked at the event loop."""
        return sum(row.held is not None for row in self.measurements)

    @cached_property
    def terms(self) -> list[tuple[str, str]]:
        return terms(self.judged)

    @cached_property
    def counts(self) -> list[tuple[Outcome, str, str]]:
        """Outcome, sign, and for instance "3 held"."""
        return [
            (outcome, OUTCOMES[outcome].sign, counted(outcome, count))
            for outcome, count in counts(self.judged).items()
            if count
        ]

    @cached_property
    def chip(self) -> Chip | None:
        return chip(self.judged)

    @cached_property
    def finding(self) -> ShownVerdict | None:
        """The verdict that says most."""
        return _verdict(telling(self.judged)) if self.judged else None

    @cached_property
    def one_load(self) -> str | None:
        """The load of all rows; None where they differ, and each row says its own."""
        loads = {row.load for row in self.rows}
        return loads.pop() if len(loads) == 1 else None

    @cached_property
    def rounds(self) -> str:
        """For instance `4 to 8 rounds`."""
        fewest, most = (pick(row.rounds for row in self.rows) for pick in (min, max))
        if fewest == most:
            return ngettext("%(n)d round", "%(n)d rounds", most) % {"n": most}
        return _("%(fewest)d to %(most)d rounds") % {"fewest": fewest, "most": most}


def result_files() -> list[Path]:
    return result_store.newest_first(settings.RESULTS_DIR)


def advised() -> list[tuple[str, Advice]]:
    """Return what `advise` found of people's own projects, by file, of the newest."""
    names = [path.name for path in result_files()[:LOOKED_AT]]
    return [(name, advice) for name in names if (advice := advice_in(name))]


def advice_in(file: str) -> Advice | None:
    """Return what a result file has of `advise`; None of any other."""
    try:
        return result_store.read(Path(settings.RESULTS_DIR, file)).advice
    except ResultError:
        return None


def latest_results(
    slugs: Collection[str], chosen: str = ""
) -> tuple[dict[str, ShownResult], list[str]]:
    """Find the newest result of each comparison, and a notice for each file that is no result.

    Files are read from the newest on, until every comparison has its result; if one is chosen, no
    other. UnknownResultError if there is none of this name.
    """
    found: dict[str, ShownResult] = {}
    notices: list[str] = []
    paths = [path for path in result_files() if chosen in ("", path.name)]
    if chosen and not paths:
        raise UnknownResultError(chosen)
    for path in paths:
        try:
            result = result_store.read(path)
        except ResultError as error:
            notices.append(f"{path.name}: {error.problem}")
            continue
        if result.options.get("null") and not chosen:
            continue  # variants measured against themselves: no claim is decided
        rows, judged = _by_comparison(result.measurements), _by_comparison(result.verdicts)
        for slug in slugs:
            if slug in rows and slug not in found:
                found[slug] = ShownResult(path.name, result, rows[slug], judged.get(slug, []))
        if len(found) == len(slugs):
            break
    return found, notices


def _by_comparison(some: Iterable[T]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = {}
    for one in some:
        found.setdefault(one.comparison, []).append(one)
    return found


VERSIONS = {
    "Python": "python",
    "Django": "django",
    "PostgreSQL": "postgres",
    "uvicorn": "uvicorn",
    "gunicorn": "gunicorn",
}


def run_of(file: str, result: Result) -> ShownRun:
    def environment(key: str) -> str:
        return str(result.environment.get(key, "?"))

    count = result.environment.get("cpu_count")
    return ShownRun(
        file=file,
        started=result.started,
        machine=environment("cpu_model"),
        cpus=environment("cpu_count"),
        cpus_counted=count if isinstance(count, int) else 0,
        versions=[
            (name, environment(key))
            for name, key in VERSIONS.items()
            if key in ("python", "django") or key in result.environment
        ],
    )
