"""What the arguments of `compare` and `serve` share: parsing, bounds, refusals in one line."""

import argparse
import difflib
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django.core.management.base import CommandError

from project import exit_status
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
    deployments: Iterable[Deployment], options: dict[str, Any]
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
