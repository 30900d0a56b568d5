"""What the arguments of our commands share: parsing, bounds, files, refusals in one line."""

import argparse
import difflib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from django.core.management.base import CommandError

from comparisons import result_store
from comparisons.changes import changes
from comparisons.result import Result
from project import exit_status, signals
from project.deployments import DATABASE_MODES, Deployment
from project.services import pgbouncer

SHAPE = ("workers", "threads", "database")  # options that change a deployment
MAX_WORKERS, MAX_THREADS = 64, 1_000

T = TypeVar("T", int, float)


def add_shape(parser: argparse.ArgumentParser) -> None:
    """Add the options that give a deployment another shape."""
    parser.add_argument(
        "--workers",
        type=within(int, 1, MAX_WORKERS),
        metavar="N",
        help="processes of each server, where it may have several",
    )
    parser.add_argument(
        "--threads",
        type=within(int, 1, MAX_THREADS),
        metavar="N",
        help="threads of each process, where it may have several",
    )
    parser.add_argument(
        "--database",
        choices=DATABASE_MODES,
        help="connections to PostgreSQL: one a request, one a thread, a pool, or a PgBouncer",
    )


def reshape(
    deployments: Iterable[Deployment], options: Mapping[str, Any]
) -> dict[Deployment, Deployment]:
    """Map each deployment to itself in the shape that was asked for, as far as it can have it.

    CommandError if none of them can.
    """
    if options["database"] == "pgbouncer" and (reason := pgbouncer.why_missing()):
        raise bad(reason)
    shaped = {deployment: deployment for deployment in deployments}
    for name in SHAPE:
        refusals = []
        for before, after in shaped.items():
            try:
                shaped[before] = after.shaped(**{name: options[name]})
            except ValueError as error:
                refusals.append(str(error))
        if options[name] is not None and len(refusals) == len(shaped):
            raise bad("; ".join(sorted(set(refusals))))
    return shaped


def reserve(path: Path) -> None:
    """Create the result file. CommandError if that cannot be."""
    try:
        with signals.held():
            result_store.reserve(path)
    except FileExistsError:
        raise bad(f"{path} exists; a result file is never overwritten") from None
    except OSError as error:
        raise bad(f"cannot write {path}: {error.strerror}") from None
    except signals.Stopped:
        result_store.release(path)
        raise


def read_before(path: Path) -> Result:
    """Read the result that another is compared with. CommandError if it is none."""
    try:
        result = result_store.read(path)
        with result_store.reading(path):
            changes(result, result)  # what is odd in it shows before anything is measured
    except result_store.ResultError as error:
        raise bad(f"--against: {error}") from None
    return result


def known(name: str, names: Iterable[str], kind: str) -> str:
    """Return the name if it is one of these; else raise CommandError, which says the nearest."""
    if name in names:
        return name
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0)
    raise bad(
        f"there is no {kind} {name!r}; did you mean {nearest[0]!r}? (compare --list shows all)"
    )


def within(kind: Callable[[str], T], low: T, high: T) -> Callable[[str], T]:
    """Return an argparse type: a number from low to high."""

    def parse(text: str) -> T:
        try:
            value = kind(text)
        except ValueError:
            value = high + 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from {low} to {high}")
        return value

    return parse


def bad(message: str) -> CommandError:
    return CommandError(message, returncode=exit_status.CANNOT_RUN)
