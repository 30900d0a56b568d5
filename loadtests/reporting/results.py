"""The result file: what was measured, written after every comparison, and read again.

Beside `NAME.json` stands `NAME.samples.jsonl.gz`, a round a line, from which every figure can be
computed again.
"""

import gzip
import json
import os
import platform
import subprocess
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median
from typing import Any

from comparisons.result import UNREADABLE
from loadtests.judging import rounds, verdicts
from loadtests.judging.declared import Declared
from loadtests.judging.intervals import percentile, trimmed_mean
from loadtests.judging.rounds import Round
from loadtests.judging.verdicts import Verdict
from loadtests.running import schedule
from project.errors import FatalError
from project.processes import BASE_DIR

SCHEMA = 1
PACKAGES = (
    *("django", "asgiref", "psycopg", "psycopg-pool", "locust", "uvicorn", "gunicorn"),
    *("uvloop", "httptools", "httpx2"),
)


def now() -> str:
    """UTC, as in the name of a result file and in its times."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def reserve(path: Path) -> None:
    """Creates the file, so that no other run takes its name. OSError if it can't or it exists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "x"):
        pass


def release(path: Path) -> None:
    """Removes a file that was reserved and never written, and samples that could not be."""
    for file in (path, samples_path(path)):
        with suppress(FileNotFoundError):
            if file.stat().st_size == 0:
                file.unlink()


def samples_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}.samples.jsonl.gz")


def logs_path(path: Path) -> Path:
    """The folder of what servers of failing views have said, made only if there are any."""
    return path.with_name(f"{path.stem}.logs")


class SaveError(FatalError):
    """A result that cannot be saved."""


def save(path: Path, result: dict[str, Any], measured: Sequence[Round]) -> str:
    """Append a comparison's rounds to the samples, then replace the result.

    A reader, or a crash, finds the whole of the old result or the whole of the new one. Returns a
    remark if the samples of earlier comparisons are gone. SaveError, with what was there before as
    it was, if the disk is full or the like.
    """
    of_earlier = len({row["comparison"] for row in result["measurements"]}) > 1
    gone = of_earlier and not samples_path(path).exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _append(samples_path(path), "".join(json.dumps(asdict(r)) + "\n" for r in measured))
        _replace(path, json.dumps(result, indent=1, allow_nan=False) + "\n")
    except OSError as error:
        kept = path.exists() and path.stat().st_size
        raise SaveError(
            f"cannot save {measured[0].comparison} in {path}: {error.strerror}; "
            + ("what was measured before is there" if kept else "nothing is kept")
        ) from None
    return f"{samples_path(path)} was deleted: earlier comparisons have no samples" if gone else ""


def _append(path: Path, text: str) -> None:
    """As one whole member, for a gzip file may have many; or not at all."""
    with open(path, "ab", buffering=0) as file:
        length = file.tell()
        try:
            rest = memoryview(gzip.compress(text.encode()))
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            file.truncate(length)
            raise


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text)
        os.replace(draft, path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class Saved:
    """A result file. rounds: those with raw samples; without_rounds: why some have none."""

    result: dict[str, Any]
    rounds: list[Round]
    without_rounds: str = ""

    @property
    def confidence(self) -> float:
        """Of its intervals."""
        plan = self.result["plan"]
        return schedule.Plan(plan["window"], tuple(plan["looks"])).confidence

    @property
    def declared(self) -> dict[str, Declared]:
        """What was asked of each comparison; older files do not say it."""
        return {
            row["comparison"]: Declared.from_row(row) for row in self.result.get("declared", [])
        }

    def rows(self, slug: str) -> list[dict[str, Any]]:
        """The comparison's measurements, with what only our own files have filled in."""
        return [
            {
                "workers": row["server"]["processes"],
                "worker_threads": row["server"]["threads"],
                "round_trip": 0,
                "waiting": False,
                "rate": None,
                "send_delay_ms": 0,
                **row,
            }
            for row in self.result["measurements"]
            if row["comparison"] == slug
        ]

    def verdicts(self, slug: str) -> list[Verdict]:
        found = [
            Verdict(**{name: row[name] for name in Verdict.__match_args__})
            for row in self.result["verdicts"]
            if row["comparison"] == slug
        ]
        if unknown := {verdict.verdict for verdict in found} - {*verdicts.SIGNS}:
            raise ValueError(f"there is no verdict {unknown.pop()!r}")
        return found


def load(path: Path) -> Saved:
    """Read a result file, and the samples beside it where they can be read.

    ValueError, with one line that names the file, if it is none of ours.
    """
    try:
        result = json.loads(path.read_bytes())
        if result["schema"] != SCHEMA:
            raise ValueError(f"its schema is {result['schema']!r} instead of {SCHEMA}")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UNREADABLE as error:
        raise ValueError(no_result(path, error)) from None
    samples = samples_path(path)
    try:
        found, whole = _read_samples(samples)
    except FileNotFoundError:
        return Saved(result, [], f"{samples} is not there")
    except UNREADABLE as error:
        return Saved(result, [], f"{samples} cannot be read ({error!r})")
    return Saved(result, found, "" if whole else f"{samples} is broken or ends too early")


def no_result(path: Path, error: Exception) -> str:
    """Why it is no result file, in one line."""
    why = f"it has no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
    return f"{path} is no result file: {why}"


def _read_samples(path: Path) -> tuple[list[Round], bool]:
    """The rounds up to where a crash may have cut the file off, and whether it is whole.

    Each member of the file is a comparison, of which some rounds without the others say nothing.
    """
    rest = path.read_bytes()
    found: list[Round] = []
    while rest:
        member = zlib.decompressobj(wbits=31)
        try:
            lines = member.decompress(rest).splitlines()
        except zlib.error:
            return found, False
        if not member.eof:
            return found, False
        found += [_round(json.loads(line)) for line in lines]
        rest = member.unused_data
    return found, True


def _round(row: dict[str, Any]) -> Round:
    samples = {
        name: [rounds.Sample(*sample) for sample in row[name]] for name in ("samples", "bystander")
    }
    return Round(**row | samples | {"server": rounds.Server(**row["server"])})


def measurement(of_row: Sequence[Round], digest: int | None, confidence: float) -> dict[str, Any]:
    """One row of the result file, from the rounds of one variant on one deployment in one case.

    Figures are those of the rounds that count; if too few do, of all, and the row is invalid.
    """
    because = verdicts.why_invalid(of_row, digest)
    good = [round_ for round_ in of_row if not rounds.invalid_because(round_, digest)]
    used = list(of_row) if because else good
    rate = trimmed_mean([rounds.throughput(round_) for round_ in used], confidence)
    latencies = [latency for round_ in used for latency in rounds.latencies(round_)]
    bystander = [latency for round_ in used for latency in rounds.bystander_latencies(round_)]
    ceilings = [round_.ceiling for round_ in used if round_.ceiling]
    first = of_row[0]
    return {
        "comparison": first.comparison,
        "variant": first.variant,
        "deployment": first.deployment,
        "workers": first.workers,
        "worker_threads": first.worker_threads,
        "users": first.users,
        "round_trip": first.round_trip,
        "rounds": len(good),
        "requests": sum(len(round_.answers()) for round_ in used),
        "failures": sum(len(rounds.failures(round_)) for round_ in used),
        "throughput": {
            "mean": _figure(rate.mean),
            "low": _figure(max(rate.low, 0)),
            "high": _figure(rate.high),
        },
        "latency_ms": _latency(latencies, (50, 95, 99)),
        "bystander_ms": _latency(bystander, (50, 99)),
        "server": {
            "processes": max(round_.server.processes for round_ in used),
            "threads": max(round_.server.threads for round_ in used),
            "cpu_seconds": _figure(sum(round_.server.cpu_seconds for round_ in used)),
            "cpu_ms_per_request": _figure(
                median(rounds.METRICS["cpu_per_request"](round_) for round_ in used)
            ),
            "rss_mb": _figure(max(round_.server.rss_mb for round_ in used)),
            "idle_mb": _figure(first.server.idle_mb),
            "db_connections": max(round_.server.db_connections for round_ in used),
            "pool_queued": _mean_of(round_.server.pool_queued for round_ in used),
            "pool_wait_ms": _mean_of(round_.server.pool_wait_ms for round_ in used),
        },
        "ceiling": _figure(median(ceilings)) if ceilings else None,
        "waiting": first.waiting,
        "rate": first.rate,
        "send_delay_ms": _figure(max(round_.send_delay for round_ in used)),
        "sampler_cpu": _figure(max(round_.sampler_cpu for round_ in used)),
        "load_generator_cpu": _figure(max(round_.generator_cpu for round_ in used)),
        "steal": _figure(max(round_.steal for round_ in used)),
        "throttled": _figure(max(round_.throttled for round_ in used)),
        "valid": not because,
        "invalid_because": because,
    }


def _latency(values: Sequence[float], percentiles: Sequence[int]) -> dict[str, float | None]:
    return {
        **{f"p{q}": _figure(percentile(values, q)) for q in percentiles},
        "max": _figure(max(values, default=float("nan"))),
    }


def _mean_of(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _figure(mean(known)) if known else None


def _figure(value: float) -> float | None:
    """Six significant digits; None for what JSON has no number for."""
    return float(f"{value:.6g}") if abs(value) < float("inf") else None


def verdict_row(verdict: Verdict) -> dict[str, Any]:
    row = asdict(verdict)
    for name in ("measured", "low", "high"):
        row[name] = None if row[name] is None else _figure(row[name])
    return row


def environment(postgres: str) -> dict[str, Any]:
    """Where and with what it was measured."""
    return {
        "python": platform.python_version(),
        "postgres": postgres,
        **{name.replace("-", "_"): version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "cpu_model": _cpu_model(),
        "cpu_count": os.cpu_count(),
        "load_average": list(os.getloadavg()),
        "commit": _commit(),
    }


def _cpu_model() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(": ")[2]
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """The checkout's commit, with a + where it has been changed; None where it is no repository.

    A repository that the checkout merely lies in, or that GIT_DIR names, is another.
    """
    command = ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    with suppress(OSError, subprocess.CalledProcessError):
        without = {name: text for name, text in os.environ.items() if name[:4] != "GIT_"}
        environ = without | {"GIT_CEILING_DIRECTORIES": str(BASE_DIR.parent)}
        said = subprocess.check_output(command, cwd=BASE_DIR, env=environ, text=True, stderr=-3)
        return said.strip()
    return None
