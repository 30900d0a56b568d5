"""The result file: its shape, its outcomes and their words, and how its figures are written.

Whoever measures fills it; the terminal, the pages and the README show it; `result_store` keeps it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, cast

from django.utils.formats import get_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as marked

from comparisons.advice import Advice

SCHEMA = 1
MISSING = "–"  # in place of a figure that could not be measured
# Of what a distribution has the values: in percent, closer at both ends.
QUANTILES = (0.0, 1.0, *(2.5 * n for n in range(2, 39)), 99.0, 100.0)

Outcome = Literal["holds", "refuted", "inconclusive", "invalid"]


@dataclass(frozen=True)
class Words:
    sign: str
    # After a count, as in `3 held`.
    counted: str


OUTCOMES: dict[Outcome, Words] = {
    "holds": Words("✓", marked("held")),
    "refuted": Words("✗", marked("refuted")),
    "inconclusive": Words("?", marked("inconclusive")),
    "invalid": Words("–", marked("invalid")),
}


# --- The shape


@dataclass(frozen=True)
class Throughput:
    """Requests/s that succeeded: the mean over the rounds and its interval of 95 %."""

    mean: float | None
    low: float | None
    high: float | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Throughput":
        return cls(*_numbers(row, "mean", "low", "high"))


@dataclass(frozen=True)
class Latency:
    """Percentiles of all successful answers, in ms.

    mean, low, high: of the rounds' medians, with an interval of 95 %; None in older files.
    """

    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None
    mean: float | None = None
    low: float | None = None
    high: float | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any] | None) -> "Latency":
        of_rounds = (_number((row or {}).get(name)) for name in ("mean", "low", "high"))
        return cls(*_numbers(row, "p50", "p95", "p99", "max"), *of_rounds)


@dataclass(frozen=True)
class Bystander:
    """Percentiles of the bystander's waits, in ms."""

    p50: float | None
    p99: float | None
    max: float | None
    # The longest of a round, typically: what the metric bystander_max is.
    longest: float | None

    @property
    def typical_longest(self) -> float | None:
        """Of older files the p99 of all calls, which is about the same."""
        return self.p99 if self.longest is None else self.longest

    @classmethod
    def from_row(cls, row: Mapping[str, Any] | None) -> "Bystander":
        longest = None if row is None else _number(row.get("longest"))
        p50, p99, greatest = _numbers(row, "p50", "p99", "max")
        return cls(p50, p99, greatest, longest)


@dataclass(frozen=True)
class Server:
    """What a server used, over its whole process tree; None where nobody could look."""

    processes: int | None
    threads: int | None
    cpu_seconds: float | None
    cpu_ms_per_request: float | None
    rss_mb: float | None
    # Before the first request.
    idle_mb: float | None
    db_connections: int | None
    # Of a connection from the pool, on average; None without a pool, or with several processes.
    pool_wait_ms: float | None
    # At once, at most; None in older files, and where nobody looked.
    queries: int | None = None  # that Postgres runs
    transactions: int | None = None  # open in Postgres
    upstream_calls: int | None = None
    busiest_worker: float | None = None  # its CPU time, in those of the average worker

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Server":
        return cls(
            processes=_count(row["processes"]),
            threads=_count(row["threads"]),
            cpu_seconds=_number(row["cpu_seconds"]),
            cpu_ms_per_request=_number(row.get("cpu_ms_per_request")),
            rss_mb=_number(row["rss_mb"]),
            idle_mb=_number(row.get("idle_mb")),
            db_connections=_count(row["db_connections"]),
            pool_wait_ms=_number(row.get("pool_wait_ms")),
            queries=row.get("queries"),
            transactions=row.get("transactions"),
            upstream_calls=row.get("upstream_calls"),
            busiest_worker=_number(row.get("busiest_worker")),
        )


UNSEEN = Server(None, None, None, None, None, None, None, None)  # one that is somebody else's


@dataclass(frozen=True)
class Timeline:
    """A stretch of one round, for a picture: ms from its begin, and how long it is.

    A request is [start, duration, 1 if it failed], a bystander's call [start, duration]; each is
    whole, also where it began before the stretch or ended after it. of: how many requests there
    were, of which these are those of some users (of an open loop, some from first to last).
    """

    length: float
    requests: list[list[float]]
    bystander: list[list[float]]
    of: int

    @classmethod
    def from_row(cls, row: Mapping[str, Any] | None) -> "Timeline | None":
        if row is None:
            return None
        return cls(
            length=_finite(row["length"]),
            requests=[_finites(request, 3) for request in row["requests"]],
            bystander=[_finites(call, 2) for call in row["bystander"]],
            of=int(row["of"]),
        )


@dataclass(frozen=True)
class Hold:
    """A line at which the event loop was held.

    place: `file:line`. calls: the function that was at work; "" where that is the line itself. ms,
    cpu_ms: of a request in which it was seen, on average. times: how often it was seen a request.
    """

    place: str
    code: str
    calls: str
    ms: float
    cpu_ms: float
    times: float
    longest_ms: float

    @property
    def line(self) -> int:
        return int(self.place.rpartition(":")[2])

    @property
    def statement(self) -> str:
        """The line's code, without the comment at its end."""
        return self.code.partition("  # ")[0]

    @property
    def computed(self) -> bool:
        """Tell computing from waiting."""
        return self.cpu_ms > self.ms / 2

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Hold":
        hold = cls(
            place=_text(row["place"]),
            code=_text(row["code"]),
            calls=_text(row["calls"]),
            ms=_finite(row["ms"]),
            cpu_ms=_finite(row["cpu_ms"]),
            times=_finite(row["times"]),
            longest_ms=_finite(row["longest_ms"]),
        )
        if not hold.place.rpartition(":")[2].isdecimal() or not hold.line:
            raise ValueError(f"{hold.place!r} is no file:line")
        return hold

    @classmethod
    def from_rows(cls, rows: Sequence[Mapping[str, Any]] | None) -> "list[Hold] | None":
        return None if rows is None else [cls.from_row(row) for row in rows]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What was measured of one variant on one deployment in one case of load and distance."""

    comparison: str
    variant: str
    deployment: str
    # The shape asked for: processes that serve, and the threads of each (0: no limit). gunicorn's
    # main process and the threads that no request ever sees are no slots.
    workers: int
    worker_threads: int
    users: int
    round_trip: float  # ms
    rounds: int  # that count
    requests: int  # in the windows of these rounds
    failures: int  # of them
    throughput: Throughput
    latency_ms: Latency
    bystander_ms: Bystander
    server: Server
    ceiling: float | None  # requests/s
    # Every user sends one request, and all of them wait at once: their rate says nothing.
    waiting: bool
    rate: float | None  # requests/s of an open loop
    send_delay_ms: float | None  # p99: how late the generator itself sent what was due
    sampler_cpu: float | None  # 0..1 of one core, as the next
    load_generator_cpu: float | None
    steal: float | None  # 0..1 of all cores
    throttled: float | None  # 0..1 of the window
    valid: bool
    invalid_because: list[str]
    # Requests/s by which an open loop's backlog grows: there is no latency then. None: it does not.
    backlog_growth: float | None = None
    # What a picture needs and older files lack: the latencies at QUANTILES, in ms, and a stretch.
    distribution: list[float] | None = None
    timeline: Timeline | None = None
    # What held its event loop, on some requests before the first round; None where nobody looked.
    held: list[Hold] | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Measurement":
        """Of what is promised nothing may be missing; what only we add may."""
        server = Server.from_row(row["server"])
        return cls(
            comparison=_text(row["comparison"]),
            variant=_text(row["variant"]),
            deployment=_text(row["deployment"]),
            workers=int(row.get("workers", server.processes)),
            worker_threads=int(row.get("worker_threads", server.threads)),
            users=int(row["users"]),
            round_trip=_number(row.get("round_trip")) or 0,
            rounds=int(row["rounds"]),
            requests=int(row["requests"]),
            failures=int(row["failures"]),
            throughput=Throughput.from_row(row["throughput"]),
            latency_ms=Latency.from_row(row["latency_ms"]),
            bystander_ms=Bystander.from_row(row["bystander_ms"]),
            server=server,
            ceiling=_number(row["ceiling"]),
            waiting=bool(row.get("waiting")),
            rate=_number(row.get("rate")),
            send_delay_ms=_number(row.get("send_delay_ms")),
            sampler_cpu=_number(row.get("sampler_cpu")),
            load_generator_cpu=_number(row["load_generator_cpu"]),
            steal=_number(row.get("steal")),
            throttled=_number(row.get("throttled")),
            valid=bool(row["valid"]),
            invalid_because=[_text(reason) for reason in row["invalid_because"]],
            backlog_growth=_number(row.get("backlog_growth")),
            distribution=_distribution(row.get("distribution")),
            timeline=Timeline.from_row(row.get("timeline")),
            held=Hold.from_rows(row.get("held")),
        )

    @property
    def shape(self) -> str:
        """Not known of somebody else's server."""
        if not self.workers:
            return MISSING
        return f"{self.workers} × {self.worker_threads or '∞'}"

    @property
    def held_ms(self) -> float:
        """How long each request held the event loop, in all."""
        return sum(hold.ms for hold in self.held or [])

    @property
    def share_failed(self) -> float | None:
        return self.failures / self.requests if self.requests else None

    @property
    def share_of_ceiling(self) -> float | None:
        mean = self.throughput.mean
        return mean / self.ceiling if mean is not None and self.ceiling else None

    @property
    def kb_per_request(self) -> float | None:
        """What the server grew by for each request that waits."""
        peak, idle = self.server.rss_mb, self.server.idle_mb
        return None if peak is None or idle is None else 1000 * (peak - idle) / self.users


def without_bystander(measurements: Iterable[Measurement]) -> bool:
    """Tell whether none of them had one: then what a request costs is shown in its place."""
    return all(row.bystander_ms.p50 is None for row in measurements)


def longest_holds(measurements: Iterable[Measurement]) -> list[tuple[Measurement, Hold]]:
    """Return what held the loops. Of several cases, that in which a variant's was held longest."""
    longest: dict[tuple[str, str], Measurement] = {}
    for row in measurements:
        other = longest.setdefault((row.variant, row.deployment), row)
        if row.held_ms > other.held_ms:
            longest[row.variant, row.deployment] = row
    return [(row, hold) for row in longest.values() for hold in row.held or []]


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What was expected, as plain data: an expectation of one case on one machine.

    low, high: what agrees with it; None is no limit. text: names it. why: where the bound is from.
    """

    variant: str
    metric: str
    of: str | None
    low: float | None
    high: float | None
    users: int
    round_trip: float
    text: str
    why: str = ""

    @property
    def case(self) -> tuple[int, float]:
        return self.users, self.round_trip

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Expected":
        low, high = _numbers(row, "low", "high")
        return cls(
            variant=_text(row["variant"]),
            metric=_text(row["metric"]),
            of=None if row["of"] is None else _text(row["of"]),
            low=low,
            high=high,
            users=int(row["users"]),
            round_trip=float(row["round_trip"]),
            text=_text(row["text"]),
            why=_text(row.get("why", "")),
        )


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the measurement says of one expectation."""

    comparison: str
    expectation: str
    outcome: Outcome
    # For a share, of all answers together; for a limit, the value that decides, and low and high
    # are the smallest and the largest of the rounds.
    measured: float | None
    low: float | None
    high: float | None
    because: str
    # What older files do not say.
    expected: Expected | None = None
    deployment: str | None = None  # where the variant was measured on several
    rounds: int = 0  # that it rests on
    answers: int | None = None  # for a share
    # Of an inconclusive one: what would decide it, and how many rounds, where that is known.
    open_because: str = ""
    needed_rounds: int | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Verdict":
        if row["verdict"] not in OUTCOMES:
            raise ValueError(f"there is no verdict {row['verdict']!r}")
        measured, low, high = _numbers(row, "measured", "low", "high")
        expected = row.get("expected")
        return cls(
            comparison=_text(row["comparison"]),
            expectation=_text(row["expectation"]),
            outcome=cast(Outcome, row["verdict"]),
            measured=measured,
            low=low,
            high=high,
            because=_text(row["because"] or ""),
            expected=None if expected is None else Expected.from_row(expected),
            deployment=row.get("deployment"),
            rounds=int(row.get("rounds", 0)),
            answers=None if row.get("answers") is None else int(row["answers"]),
            open_because=_text(row.get("open_because", "")),
            needed_rounds=row.get("needed_rounds"),
        )

    def as_row(self) -> dict[str, Any]:
        return {"verdict" if key == "outcome" else key: v for key, v in asdict(self).items()}

    @property
    def words(self) -> Words:
        return OUTCOMES[self.outcome]


@dataclass(kw_only=True)
class Result:
    """One run; it grows with every comparison."""

    started: datetime
    finished: datetime | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    plan: dict[str, Any] = field(default_factory=dict)
    load_generator: dict[str, Any] = field(default_factory=dict)
    # What a request costs on this machine: registry.Cost.
    calibration: dict[str, Any] = field(default_factory=dict)
    # What was asked of each comparison, as loadtests.judging.declared writes it.
    declared: list[dict[str, Any]] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    advice: Advice | None = None  # of `advise`

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> "Result":
        """Read the file's one object. Raises any of `result_store.UNREADABLE` if it is none."""
        if content["schema"] != SCHEMA:
            raise ValueError(f"its schema is {content['schema']!r} instead of {SCHEMA}")
        finished = content.get("finished")
        return cls(
            started=_time(content["started"]),
            finished=None if finished is None else _time(finished),
            environment=_object(content["environment"]),
            options=_object(content.get("options", {})),
            seed=content.get("seed"),
            plan=_object(content.get("plan", {})),
            load_generator=_object(content.get("load_generator", {})),
            calibration=_object(content.get("calibration", {})),
            declared=[_object(row) for row in content.get("declared", [])],
            measurements=[Measurement.from_row(row) for row in content["measurements"]],
            verdicts=[Verdict.from_row(row) for row in content["verdicts"]],
            advice=Advice.from_row(content["advice"]) if content.get("advice") else None,
        )

    def as_content(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "started": timestamp(self.started),
            "finished": self.finished and timestamp(self.finished),
            "environment": self.environment,
            "options": self.options,
            "seed": self.seed,
            "plan": self.plan,
            "load_generator": self.load_generator,
            "calibration": self.calibration,
            "declared": self.declared,
            "measurements": [asdict(measurement) for measurement in self.measurements],
            "verdicts": [verdict.as_row() for verdict in self.verdicts],
            **({"advice": self.advice.as_row()} if self.advice else {}),
        }


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no object")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _count(value: Any) -> int | None:
    return None if value is None else int(value)


def count_of(count: int | None) -> str:
    """With a separator of thousands."""
    return MISSING if count is None else in_digits(f"{count:,}")


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is no number")
    return number


def _finites(values: Any, count: int) -> list[float]:
    numbers = [_finite(value) for value in values]
    if len(numbers) != count:
        raise ValueError(f"{len(numbers)} numbers instead of {count}")
    return numbers


def _distribution(values: Any) -> list[float] | None:
    return None if values is None else _finites(values, len(QUANTILES))


def _numbers(row: Mapping[str, Any] | None, *keys: str) -> list[float | None]:
    """The numbers under these keys; each None where nothing could be measured."""
    return [None if row is None else _number(row[key]) for key in keys]


def _number(value: Any) -> float | None:
    number = math.nan if value is None else float(value)
    return number if math.isfinite(number) else None


# --- How it is written


def counts(verdicts: Iterable[Verdict]) -> dict[Outcome, int]:
    """How often there is each outcome, in their order."""
    given = [verdict.outcome for verdict in verdicts]
    return {outcome: given.count(outcome) for outcome in OUTCOMES}


def figure(value: float | None) -> str:
    """Three significant digits, without an exponent."""
    if value is None:
        return MISSING
    plain = f"{value:.0f}" if abs(value) >= 100 else f"{Decimal(f'{value:.3g}'):f}"
    return in_digits(plain)


def in_digits(number: str) -> str:
    """Write `1,234.5` as the reader's language does: in Turkish `1.234,5`."""
    separators = {".": get_format("DECIMAL_SEPARATOR"), ",": get_format("THOUSAND_SEPARATOR")}
    return number.translate(str.maketrans(separators))


def percentage(number: str) -> str:
    """`95 %`, in Turkish `%95`."""
    return _("%(number)s %%") % {"number": number}


def interval(low: float | None, high: float | None) -> str:
    """For instance `9.3–9.6`; an interval that is open to one side says nothing."""
    if low is None or high is None:
        return _("no interval")
    return f"{figure(low)}–{figure(high)}"


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Of `{"host": {"url": ...}}` make `{"host url": ...}`, to be read line by line.

    Of a list of objects, an object a line.
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= {f"{name} {key}": of for key, of in flat(value).items()}
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            for number, one in enumerate(value, 1):
                known = [f"{key} {of}" for key, of in one.items() if of is not None]
                found[f"{name} {number}"] = ", ".join(known)
        else:
            found[name] = value
    return found


def rounded(value: float) -> float | None:
    """Six significant digits, as the file keeps them; None for what JSON has no number for."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def timestamp(time: datetime) -> str:
    """As in the file and in its name."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
