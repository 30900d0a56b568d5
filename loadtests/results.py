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
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median
from typing import Any

from loadtests import rounds, schedule, verdicts
from loadtests.intervals import percentile, trimmed_mean
from loadtests.rounds import Round
from loadtests.verdicts import Verdict
from project.keeper import ServiceError

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


class SaveError(ServiceError):
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


def load(path: Path) -> tuple[dict[str, Any], float, list[Round]]:
    """A run's options, the confidence of its intervals, and its rounds with their raw samples.

    ValueError, with one line that names the file, if it is none of ours.
    """
    try:
        result = json.loads(path.read_text())
        if result["schema"] != SCHEMA:
            raise ValueError(f"schema {result['schema']} instead of {SCHEMA}")
        plan = schedule.Plan(result["plan"]["window"], tuple(result["plan"]["looks"]))
        return result["options"], plan.confidence, _whole_rounds(samples_path(path))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: no result with its samples ({error!r})") from None


def _whole_rounds(path: Path) -> list[Round]:
    """Up to where a crash has cut the file off."""
    found = []
    with gzip.open(path, "rt") as file, suppress(EOFError, gzip.BadGzipFile, zlib.error):
        for line in file:
            found.append(_round(json.loads(line)))
    return found


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
    """The checkout's commit, with a + where it has been changed; None outside of git."""
    command = ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    with suppress(OSError, subprocess.CalledProcessError):
        here = Path(__file__).parent
        return subprocess.check_output(command, cwd=here, text=True, stderr=-3).strip()
    return None
