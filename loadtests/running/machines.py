"""The options that bring in more load generators, and other machines."""

import argparse
from collections.abc import Mapping
from typing import Any

from loadtests.arguments import bad, within
from loadtests.away import AwayError, Place
from loadtests.running.workers import Crew
from project.ports import LOOPBACK

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
        "--servers-on",
        metavar="COMMAND",
        help="servers and services run elsewhere, and are looked at there: 'ssh app1'",
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

    One here, where the servers are elsewhere and no other is asked for. CommandError for a place
    that makes no sense.
    """
    elsewhere = options["servers_on"] is not None
    if not (options["generators"] or options["load_from"] or elsewhere):
        for name in ("checkout", "address", "go_on"):
            if options[name]:
                several = "--generators, --load-from, --servers-on"
                raise bad(f"--{name.replace('_', '-')}: of what? ({several})")
        return None
    places = tuple(_place("load-from", one, options) for one in options["load_from"])
    if places and not options["address"] and not elsewhere:
        raise bad("--load-from: --address says at which address of this machine they find it")
    here = options["generators"] or (0 if places else 1)
    return Crew(here, places, options["address"] or LOOPBACK, options["go_on"])


def servers_place(options: Mapping[str, Any]) -> Place | None:
    """Return where the servers are to run; None is here. CommandError if that makes no sense."""
    command = options["servers_on"]
    return None if command is None else _place("servers-on", command, options)


def _place(option: str, command: str, options: Mapping[str, Any]) -> Place:
    try:
        return Place.of(command, options["checkout"])
    except AwayError as error:
        raise bad(f"--{option}: {error}") from None
