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
from loadtests.away import AwayError, Place
from loadtests.running.workers import HERE, Crew
from project import exit_status, signals
from project.deployments import DATABASE_MODES, Deployment
from project.services import pgbouncer

SHAPE = ("workers", "threads", "database")  # options that change a deployment
MAX_WORKERS, MAX_THREADS = 64, 1_000
MAX_GENERATORS = 64

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


def add_machines(parser: argparse.ArgumentParser) -> None:
    """Add the options that bring in more load generators, and other machines."""
    parser.add_argument(
        "--generators",
        type=within(int, 1, MAX_GENERATORS),
        metavar="N",
        help="so many load generators here: locust's workers, behind one master",
    )
    parser.add_argument(
        "--load-from",
        action="append",
        default=[],
        metavar="COMMAND",
        help="a load generator elsewhere, which this starts: 'ssh load1', 'docker exec -i load1'",
    )
    parser.add_argument(
        "--checkout",
        metavar="PATH",
        help="of this project on the other machines, with its .venv; where it is here if not said",
    )
    parser.add_argument(
        "--address",
        metavar="HOST",
        help="of the machine with the servers, as the load generators reach it",
    )
    parser.add_argument(
        "--go-on",
        action="store_true",
        help="measure on with the others when a load generator is lost",
    )


def crew_of(options: Mapping[str, Any]) -> Crew | None:
    """Return the load generators that were asked for; None for those of one machine.

    CommandError for a place that makes no sense.
    """
    if not options["generators"] and not options["load_from"]:
        for name in ("checkout", "address", "go_on"):
            if options[name]:
                raise bad(f"--{name.replace('_', '-')}: of what? (--generators, --load-from)")
        return None
    try:
        places = tuple(Place.of(one, options["checkout"]) for one in options["load_from"])
    except AwayError as error:
        raise bad(f"--load-from: {error}") from None
    if places and not options["address"]:
        raise bad("--load-from: --address says at which address of this machine they find it")
    return Crew(options["generators"] or 0, places, options["address"] or HERE, options["go_on"])


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
