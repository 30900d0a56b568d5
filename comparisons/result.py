"""What the pages read of result files: the latest measurement of each comparison, ready to show.

The file is all that they know of `loadtests`; it may be foreign, old, broken, or half as promised.
"""

import json
import math
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings

SCHEMA = 1
REFERENCE = "reference.json"
NOTHING = "\N{EN DASH}"
VERDICTS = {  # verdict: its mark, and the word for a count of them
    "holds": ("\N{CHECK MARK}", "held"),
    "refuted": ("\N{BALLOT X}", "refuted"),
    "inconclusive": ("?", "inconclusive"),
    "invalid": (NOTHING, "invalid"),
}
# All that reading a foreign file can raise: no file, no JSON, other types, keys or numbers in it.
UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RecursionError,
)


@dataclass(frozen=True)
class Run:
    """One result file: when and where it was measured."""

    file: str
    started: datetime
    machine: str
    cpus: str
    python: str
    django: str


@dataclass(frozen=True)
class Row:
    """One measurement, in the words and digits of the table."""

    variant: str
    deployment: str
    load: str
    rounds: int
    processes: str
    threads: str
    throughput: str
    interval: str
    of_ceiling: str
    p50: str
    p99: str
    bystander_p99: str
    connections: str
    # Where requests only wait: the server's threads, and kB that it grew by for each of them.
    waiting: tuple[str, str] | None
    invalid_because: tuple[str, ...] | None


@dataclass(frozen=True)
class Verdict:
    """What was measured of one expectation."""

    expectation: str
    verdict: str
    measured: str | None
    interval: str
    because: str

    @property
    def mark(self) -> str:
        return VERDICTS[self.verdict][0]


@dataclass(frozen=True)
class Result:
    """What one run says of one comparison."""

    run: Run
    rows: tuple[Row, ...]
    verdicts: tuple[Verdict, ...]

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
    def rounds(self) -> str:
        fewest, most = (pick(row.rounds for row in self.rows) for pick in (min, max))
        return str(most) if fewest == most else f"{fewest} to {most}"

    @property
    def counts(self) -> list[tuple[str, str, int, str]]:
        """Verdict, mark, count and word of each verdict that occurs."""
        given = [verdict.verdict for verdict in self.verdicts]
        return [
            (verdict, mark, given.count(verdict), word)
            for verdict, (mark, word) in VERDICTS.items()
            if verdict in given
        ]


def latest_results(slugs: Collection[str]) -> tuple[dict[str, Result], list[str]]:
    """The newest result of each comparison, and a notice for each file that can't be read.

    Files are read from the newest on, until every comparison has its result.
    """
    found: dict[str, Result] = {}
    notices: list[str] = []
    for path in _newest_first(settings.RESULTS_DIR):
        try:
            results = read_results(path)
        except UNREADABLE as error:
            why = f"no {error}" if isinstance(error, KeyError) else str(error)
            notices.append(f"{path.name}: not a result file of schema {SCHEMA} ({why})")
            continue
        found = {slug: results[slug] for slug in slugs if slug in results} | found
        if len(found) == len(slugs):
            break
    return found, notices


def _newest_first(folder: Path) -> list[Path]:
    """Names are times; a name of the user's own comes after them, the reference run last."""
    return sorted(
        folder.glob("[!.]*.json"),
        key=lambda path: (path.name != REFERENCE, path.name[0].isdecimal(), path.name),
        reverse=True,
    )


def read_results(path: Path) -> dict[str, Result]:
    """The results of a file by comparison. Raises one of UNREADABLE where it is not as promised."""
    text = path.read_bytes()
    if not text:
        return {}  # the name that a run has taken before it has anything to say
    content = json.loads(text)
    if content["schema"] != SCHEMA:
        raise ValueError(f"its schema is {content['schema']!r}")
    if content.get("options", {}).get("null"):
        return {}  # `compare --null` measured variants against themselves: no claim is decided
    environment = content["environment"]
    run = Run(
        file=path.name,
        started=_time(content["started"]),
        machine=str(environment["cpu_model"]),
        cpus=str(environment["cpu_count"]),
        python=str(environment["python"]),
        django=str(environment["django"]),
    )
    measured = _by_comparison(content["measurements"])
    decided = _by_comparison(content["verdicts"])
    return {
        slug: Result(
            run=run,
            rows=tuple(_row(measurement) for measurement in of_slug),
            verdicts=tuple(_verdict(verdict) for verdict in decided.get(slug, [])),
        )
        for slug, of_slug in measured.items()
    }


def _by_comparison(items: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        found.setdefault(item["comparison"], []).append(item)
    return found


def _row(measurement: dict[str, Any]) -> Row:
    mean, low, high = _numbers(measurement["throughput"], "mean", "low", "high")
    ceiling = _number(measurement["ceiling"])
    p50, p99 = _numbers(measurement["latency_ms"], "p50", "p99")
    (bystander_p99,) = _numbers(measurement["bystander_ms"], "p99")
    processes, threads, connections = _numbers(
        measurement["server"], "processes", "threads", "db_connections"
    )
    # The shape asked for, where the file has it, as in the terminal: gunicorn's main process and
    # the threads that no request ever sees are not the slots that a reader compares.
    processes = _number(measurement.get("workers", processes))
    threads = _number(measurement.get("worker_threads", threads))
    return Row(
        variant=str(measurement["variant"]),
        deployment=str(measurement["deployment"]),
        load=_load(measurement),
        rounds=int(measurement["rounds"]),
        processes=_figure(processes, 0),
        threads="\N{INFINITY}" if threads == 0 else _figure(threads, 0),  # runserver sets no limit
        throughput=_figure(mean),
        interval=_interval(low, high),
        of_ceiling=f"{100 * mean / ceiling:.0f} %" if mean is not None and ceiling else NOTHING,
        p50=_figure(p50),
        p99=_figure(p99),
        bystander_p99=_figure(bystander_p99),
        connections=_figure(connections, 0),
        waiting=_waiting(measurement) if measurement.get("waiting") else None,
        invalid_because=(
            None if measurement["valid"] else tuple(map(str, measurement["invalid_because"]))
        ),
    )


def _waiting(measurement: dict[str, Any]) -> tuple[str, str]:
    threads, most, idle = _numbers(measurement["server"], "threads", "rss_mb", "idle_mb")
    growth = None if most is None or idle is None else most - idle
    return (
        _figure(threads, 0),
        _figure(None if growth is None else 1000 * growth / int(measurement["users"])),
    )


def _load(measurement: dict[str, Any]) -> str:
    """For instance `10 users, 5 ms round trip`; only users is sure to be there."""
    users = int(measurement["users"])
    load = f"{users:,} user{'' if users == 1 else 's'}"
    if round_trip := _number(measurement.get("round_trip")):
        load += f", {round_trip:g} ms round trip"
    if rate := _number(measurement.get("rate")):
        load += f", {rate:g} requests/s asked for"
    return load


def _verdict(verdict: dict[str, Any]) -> Verdict:
    if verdict["verdict"] not in VERDICTS:
        raise ValueError(f"the verdict {verdict['verdict']!r}")
    measured, low, high = _numbers(verdict, "measured", "low", "high")
    expectation = str(verdict["expectation"])
    factor = "\N{MULTIPLICATION SIGN}" if " of " in expectation else ""  # else a value, no ratio
    return Verdict(
        expectation=expectation,
        verdict=verdict["verdict"],
        measured=None if measured is None else _figure(measured) + factor,
        interval=_interval(low, high),
        because=str(verdict["because"] or ""),
    )


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "no interval"
    return f"{_figure(low)} to {_figure(high)}"


def _numbers(of: dict[str, Any] | None, *keys: str) -> list[float | None]:
    """The numbers under these keys; each None where nothing could be measured."""
    return [None if of is None else _number(of[key]) for key in keys]


def _number(value: Any) -> float | None:
    number = math.nan if value is None else float(value)
    return number if math.isfinite(number) else None


def _figure(number: float | None, decimals: int | None = None) -> str:
    """Three digits that matter, unless told how many decimals."""
    if number is None:
        return NOTHING
    if decimals is None:
        size = abs(number)
        decimals = 0 if size >= 99.95 or not size else 1 if size >= 9.995 else 2 if size >= 1 else 3
    return f"{number:,.{decimals}f}"


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
