"""The options that bring in more load generators, and other machines."""

import argparse
from collections.abc import Mapping
from typing import Any

from loadtests.arguments import bad, within
from loadtests.away import AwayError, Place
from loadtests.running.workers import HERE, Crew

MAX_GENERATORS = 64


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
