"""`compare --host URL`: what is measured there, what is said before, and its rounds.

The same rounds as of servers of our own, one after the other, without a look at the server.
"""

import argparse
import math
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from comparisons.pairs import COMPARISONS
from comparisons.registry import IN_MS, THEORY, Comparison, Cost, Expectation, Variant
from loadtests.arguments import bad
from loadtests.asks import Ask, AskError, asks_of
from loadtests.judging.rounds import Round
from loadtests.orders import BYSTANDER_PACE_S, Order
from loadtests.running import schedule, urls
from loadtests.running.environment import environment
from loadtests.running.events import Chosen, Event, Started
from loadtests.running.generators import Generator as LoadGenerator
from loadtests.running.generators import load_generators
from loadtests.running.host import Host, HostError, host_of
from loadtests.running.measuring import InDoubt, Measurement, Served, blocks, not_measured
from loadtests.running.rows import Row, is_direct, is_for, rows_of, why_unfit, why_unmeasurable
from loadtests.running.run import compared, plan_of
from loadtests.running.selection import (
    Choice,
    against_itself,
    known_slug,
    not_judged,
    why_not_under_load,
    with_load,
    without_crowds,
)
from loadtests.running.warming import ViewError, warm_up
from loadtests.running.workers import Crew
from project.deployments import DEPLOYMENTS

MAX_USERS = 200  # where --users does not say more
MAX_REQUESTS = 10_000  # of a round, from its warm-up on
MAX_ROUND_S = 30  # in which a round of an open loop sends its requests
BESIDE = 10  # requests that check what a row is answered, and that look after the host in a round
COST_S = 0.5
TURNS, MAX_WINDOW_S = 4, 5  # of the slowest request, in a window
# What --host takes away: the servers are none of ours.
NOT_THERE = ("servers_on", "pin", "deployment", "workers", "threads", "database", "round_trip")
OURS_ONLY = ("source", "list")
ONLY_THERE = ("urls", "bystander", "confirm")
OPTION = {"urls": "--url", "source": "--from"}
# What only the server's own machine tells.
OF_SERVER = (
    *("cpu_per_request", "busiest_worker", "memory", "threads", "connections", "queries"),
    *("transactions", "upstream_calls", "pool_wait"),
)
NEAR_MS = 1  # away, the network adds to times


# --- What is asked for


def add_host(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host",
        metavar="URL",
        help="measure what somebody else serves there: this project, or with --url whatever it is",
    )
    parser.add_argument(
        "--url",
        dest="urls",
        action="append",
        default=[],
        metavar="PATH",
        help="with --host: a row of its own, by GET; repeat it to compare",
    )
    parser.add_argument(
        "--bystander",
        metavar="PATH",
        help="with --url: a cheap page there, called beside it 40 times a second",
    )
    parser.add_argument(
        "--confirm",
        metavar="HOST",
        help="the name in --host, again: load it without asking (its owner agrees)",
    )


def asked_for(options: Mapping[str, Any]) -> Host | None:
    """Return the host that is to be loaded, if one is. CommandError, in one line."""
    if not options["host"]:
        for name in ONLY_THERE:
            if options[name]:
                raise bad(f"{_option(name)} is for --host")
        return None
    for name in NOT_THERE:
        if options.get(name) not in (None, False, []):
            raise bad(f"{_option(name)} is for servers that are started here, and not for --host")
    for name in OURS_ONLY:
        if options[name]:
            raise bad(f"{_option(name)} measures nothing: leave out --host")
    if options["urls"] and options["slugs"]:
        raise bad("comparisons or --url: --host takes one of both")
    if options["urls"] and options["null"]:
        raise bad("--null is for comparisons: give the same --url twice")
    if options["bystander"] and not options["urls"]:
        raise bad("--bystander is for --url: this project's is /bystander/")
    try:
        host = host_of(options["host"])
    except HostError as error:
        raise bad(str(error)) from None
    if options["confirm"] and options["confirm"].lower() not in (host.hostname, host.place):
        raise bad(f"--confirm says {options['confirm']}, and --host {host.place}")
    if options["urls"]:
        asks = urls.named([_ask(host, url) for url in options["urls"]])
        host.urls = {name: one.path for name, one in asks.items()}
        host.bystander = _ask(host, options["bystander"]).path if options["bystander"] else None
        host.watched = host.bystander or next(iter(host.urls.values()))
    return host


def _option(name: str) -> str:
    return OPTION.get(name, f"--{name.replace('_', '-')}")


def _ask(host: Host, url: str) -> Ask:
    if "://" in url and not (url.strip() + "/").rpartition(" ")[2].startswith(f"{host.url}/"):
        raise bad(f"--url: {url} is not at {host.url}: give its path, or another --host")
    try:
        (ask,) = asks_of([url.replace(host.url, "", 1)])
    except AskError as error:
        raise bad(f"--url: {error}") from None
    return ask


def whole_plan_of(options: Mapping[str, Any]) -> schedule.Plan:
    """Return the plan up to its first look; with so many minutes, in them as they are."""
    plan = plan_of(options)
    return plan if options["minutes"] else replace(plan, looks=plan.looks[:1], between=())


# --- Which rows


def choose(options: Mapping[str, Any], host: Host) -> Choice:
    """Choose as `selection.choose` does, of what can be measured there.

    Before `meet` too, when more of it seems possible.
    """
    choice = _of_urls(options, host) if host.urls else _of_slugs({**options, "round_trip": 0}, host)
    if not choice.rows:
        raise bad(f"nothing to measure: {'; '.join(choice.left_out)}")
    return choice


def _of_urls(options: Mapping[str, Any], host: Host) -> Choice:
    comparison = urls.comparison_of([*host.urls], options["users"], options["rate"])
    ((users, _),) = comparison.cases
    rows = [
        _row(
            Row(
                variant,
                host.deployment,
                users,
                route=variant.name,
                rate=comparison.rate,
                asks=(Ask(host.urls[variant.name]),),
                any_body=True,
            ),
            host,
        )
        for variant in comparison.variants
    ]
    lines = [f"{name}: {path}" for name, path in host.urls.items()]
    if any(" " in url.strip() for url in options["urls"]):
        lines.append("weights are not used: each --url is a row of its own")
    return Choice([(comparison, rows)], lines)


def _of_slugs(options: dict[str, Any], host: Host) -> Choice:
    found: list[tuple[Comparison, list[Row]]] = []
    under_load: list[tuple[Comparison, list[Row]]] = []
    left_out: list[str] = []
    unjudged: dict[str, dict[str, int]] = {}
    most = _most_users(options)
    for slug in dict.fromkeys(map(known_slug, options["slugs"] or COMPARISONS)):
        comparison = COMPARISONS[slug]
        why = why_not_under_load(comparison, options) or _why_not_there(comparison, most)
        if why:
            left_out.append(f"{slug} is left out: {why}")
            continue
        comparison = without_crowds(with_load(comparison, options), most)
        variants, lines = _variants_there(comparison, host)
        left_out += lines
        if not variants:
            left_out.append(f"{slug} is left out: none of its variants can be measured there")
            continue
        under_load.append((comparison, []))
        comparison = _judged_there(comparison, variants, host, unjudged)
        if options["null"]:
            comparison = against_itself(comparison, options["rate"] or comparison.rate)
        rows = rows_of(comparison, [], options["rate"])
        found.append((comparison, [_row(row, host) for row in rows]))
    if not options["null"]:
        left_out += not_judged(under_load, options)
        for why, counts in unjudged.items():
            slugs = ", ".join(f"{slug} {count}" for slug, count in counts.items())
            left_out.append(f"not judged: {sum(counts.values())} expectations {why} ({slugs})")
    return Choice(found, left_out)


def _most_users(options: Mapping[str, Any]) -> int:
    """Return the most users that a comparison may have by itself."""
    return max(MAX_USERS, options["users"] or 0)


def _why_not_there(comparison: Comparison, most: int) -> str:
    if comparison.connections_end:
        return "its connections to PostgreSQL would have to be ended there"
    least = min(users for users, _ in comparison.cases)
    if least > most:
        return f"it has {least:,} users: on somebody else's host {most} are the most (see --users)"
    return ""


def _variants_there(comparison: Comparison, host: Host) -> tuple[list[Variant], list[str]]:
    kept: list[Variant] = []
    lines = []
    for variant in comparison.variants:
        if why := _why_variant_not_there(comparison, variant, kept, host):
            lines.append(f"{comparison.slug}/{variant.name} is left out: {why}")
        else:
            kept.append(variant)
    return kept, lines


def _why_variant_not_there(
    comparison: Comparison, variant: Variant, kept: Sequence[Variant], host: Host
) -> str:
    if variant.app:
        return "it is another application"
    if variant.workers or variant.threads or variant.database or variant.environ:
        return "it declares how its server is started, and that one is running"
    there = host.served_by
    if there and not is_for(variant, there.name):
        own = DEPLOYMENTS[variant.deployment].interface
        return f"it is for {own.upper()}, and {host.place} runs {there.name}"
    if there and (why := why_unfit(comparison, variant, there.name)):
        return why
    if not there and is_direct(variant.deployment):
        return "its handler is the question, and that one's is not known"
    is_post = variant.client is not None and variant.client.method == "POST"
    if is_post and host.round_trip_ms is not None and not host.name:
        return "it POSTs, which is for a host that says what it is (X-Deployment)"
    for other in kept:
        if (other.view, other.client) == (variant.view, variant.client):
            return f"it is {other.name}, served in another way"
    return ""


def _judged_there(
    comparison: Comparison,
    variants: Sequence[Variant],
    host: Host,
    unjudged: dict[str, dict[str, int]],
) -> Comparison:
    """Return it with these variants, and with what is expected of them that can be judged there.

    unjudged: grows by why what is not judged, and how many of which comparison.
    """
    names = {variant.name: variant for variant in variants}
    judged = []
    for expectation in comparison.expectations:
        if {*expectation.sides} - {*names, *THEORY, None}:
            continue  # its variant is left out, which is said already
        if why := _why_not_judged(expectation, names[expectation.variant], host):
            counts = unjudged.setdefault(why, {})
            counts[comparison.slug] = counts.get(comparison.slug, 0) + 1
        else:
            judged.append(expectation)
    return replace(comparison, variants=variants, expectations=judged, work=None, raw=False)


def _why_not_judged(expectation: Expectation, variant: Variant, host: Host) -> str:
    theory = expectation.of in ("ceiling", "queue", "work")
    by_cpu = expectation.takes_slack and variant.wait is None
    if expectation.metric in OF_SERVER or theory or by_cpu:
        return "that speak of its CPU, cores, memory, threads, calls or connections: nobody looks"
    away = host.round_trip_ms or 0
    if away > NEAR_MS and expectation.metric in IN_MS and expectation.of in (None, "wait"):
        return f"of times, to which the network adds {away:.3g} ms and more"
    return ""


def _row(row: Row, host: Host) -> Row:
    most = MAX_REQUESTS
    if row.rate:
        most = min(most, math.ceil(MAX_ROUND_S * (row.rate + 1 / BYSTANDER_PACE_S)))
    return replace(row, deployment=host.deployment, max_requests=max(most, 3 * row.users))


# --- What is said before


@dataclass(frozen=True)
class Extent:
    """How much will be sent."""

    rounds: int  # about
    most_requests: int


def extent_of(
    host: Host, rows: Sequence[Row], plan: schedule.Plan, minutes: float | None
) -> Extent:
    most_each = max(row.max_requests or 0 for row in rows) + BESIDE
    rounds = plan.looks[0] * len(rows)
    most = rounds + schedule.REPEATS * len(rows)
    if minutes:
        most += math.ceil(60 * minutes / plan.window)
    alone = MAX_REQUESTS if host.bystander else 0  # see cost_of
    return Extent(rounds, most * most_each + BESIDE * len(rows) + alone)


def confirm(
    host: Host,
    rows: Sequence[Row],
    plan: schedule.Plan,
    options: Mapping[str, Any],
    say: Callable[[str], None],
) -> None:
    """Where the host is another machine, say what it will be sent, and have that confirmed.

    CommandError if it is not.
    """
    if host.is_here:
        return
    if not (options["confirm"] or sys.stdin.isatty()):
        raise bad(
            f"{host.place} is not this machine: "
            f"--confirm {host.hostname} says that its owner agrees"
        )
    for line in statement(host, rows, plan, options["minutes"]):
        say(line)
    if options["confirm"]:
        return
    try:
        typed = input(f"If its owner agrees, type {host.hostname} to go on: ").strip()
    except EOFError:
        typed = ""
    if typed.lower() not in (host.hostname, host.place):
        raise bad(f"{typed or 'nothing'} was typed, and not {host.hostname}: nothing was sent")


def statement(
    host: Host, rows: Sequence[Row], plan: schedule.Plan, minutes: float | None
) -> Iterator[str]:
    extent = extent_of(host, rows, plan, minutes)
    most = max(row.users for row in rows)
    rates = [row.rate for row in rows if row.rate]
    load = f"{most:,} user{'s' if most > 1 else ''} at most, who ask again when they are answered"
    if rates:
        load = f"{max(rates):g} requests a second at most"
    posts = [row.variant for row in rows if row.variant.client]
    is_post = any(variant.client and variant.client.method == "POST" for variant in posts)
    yield f"{host.place} ({', '.join(host.addresses)}) is not this machine. It will be sent:"
    yield f"- {'GET and POST' if is_post else 'GET'} of {_paths(host, rows)}"
    yield f"- by {load}" + (
        f"; beside them {host.bystander}, {1 / BYSTANDER_PACE_S:g} a second"
        if host.bystander
        else ""
    )
    yield (
        f"- in about {extent.rounds} rounds, one after the other, of about a second or two each: "
        f"about {_duration(extent.rounds, minutes)}"
    )
    yield f"- {extent.most_requests:,} requests at the very most"


def _paths(host: Host, rows: Sequence[Row]) -> str:
    found = [*host.urls.values()]
    if not found:
        found = [f"/…/{row.route}/" for row in rows]
    found = [*dict.fromkeys(found)]
    return ", ".join(found[:4]) + (f" and {len(found) - 4} more" if len(found) > 4 else "")


def _duration(rounds: int, minutes: float | None) -> str:
    seconds = 1.5 * rounds
    least = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"
    return f"{least}, or with --for up to {minutes:g} minutes" if minutes else least


# --- The run


def run(
    host: Host,
    options: Mapping[str, Any],
    seed: int,
    logs: Path,
    crew: Crew | None,
    say: Callable[[str], None],
) -> Generator[Event, None, None]:
    """Measure there what these options choose, as `run.run` does with servers of ours.

    Before it yields Chosen, what will be sent is said, and confirmed where the host is another
    machine. CommandError, HostError: in one line.
    """
    plan = whole_plan_of(options)
    chosen = choose(options, host).rows
    confirm(host, [row for _, rows in chosen for row in rows], plan, options, say)
    yield Chosen((), sum(plan.looks[0] * len(rows) for _, rows in chosen))
    with load_generators(crew) as generators:
        chosen, cost = meet(host, options, generators[0], say)
        found = {**environment(""), "host": host.as_row()}
        yield Started(found, generators[0].as_row(), {"latency_ms": cost.latency_ms})
        budget = schedule.Shares(60 * (options["minutes"] or 0), len(chosen))
        own_blocks = plan.looks[0]
        rounds_of = partial(measure, host)
        yield from compared(
            chosen, cost, budget, own_blocks, plan, rounds_of, seed, generators, logs
        )


# --- The rounds


def meet(
    host: Host,
    options: Mapping[str, Any],
    generator: LoadGenerator,
    say: Callable[[str], None],
) -> tuple[list[tuple[Comparison, list[Row]]], Cost]:
    """Learn what the host says of itself; return what can be measured there, and its cost.

    HostError, CommandError: in one line.
    """
    host.meet()
    for path in host.urls.values():
        host.check(path)
    choice = choose(options, host)
    say(f"measured at {host.about}")
    for line in choice.left_out:
        say(line)
    return choice.rows, cost_of(host, generator)


def cost_of(host: Host, generator: LoadGenerator) -> Cost:
    """Measure what a lone request takes there besides its wait: the bystander's, by a user."""
    if not host.bystander:
        return Cost(host.round_trip_ms or 0, 0)
    result = generator.run(
        Order(
            comparison="",
            variant="",
            host=host.url,
            server=host.name,
            users=1,
            window=COST_S,
            min_answers=3,
            asks=[Ask(host.bystander).as_row()],
            bystander=None,
            max_requests=MAX_REQUESTS,
        )
    )
    taken = [latency for _, latency, _, _, error in result.samples if not error]
    if not taken:
        raise HostError(f"{host.url}{host.bystander} gave no right answer")
    return Cost(latency_ms=round(min(taken), 3), cpu_ms=0)


def measure(
    host: Host,
    comparison: Comparison,
    rows: Sequence[Row],
    plan: schedule.Plan,
    seed: int,
    generators: Sequence[LoadGenerator],
    in_doubt: InDoubt,
    logs: Path | None = None,
) -> Generator[Round, None, None]:
    """Yield rounds as `measuring.measure` does, of one load generator: users never add up.

    HostError if the host stays away; ViewError if a variant is not answered as it should be.
    """
    wanted = []
    for row in rows:
        if why := why_unmeasurable(row, generators[0].here, serves=False):
            yield not_measured(comparison, row, why)
        else:
            wanted.append(row)
    if not wanted:
        return
    _check(host, comparison, wanted)
    there: list[Any] = [host] * len(wanted)
    took = warm_up(comparison.slug, wanted, there, logs)
    if host.urls:
        plan = replace(plan, window=min(MAX_WINDOW_S, max(plan.window, TURNS * max(took))))
    served = [Served(row, [host], 0, idle_mb=0, start=1) for row in wanted]
    measurement = Measurement(comparison, plan, generators[:1], None, logs)
    measured: list[Round] = []
    for before, stop in pairwise((0, *plan.stops)):
        for round_ in blocks(measurement, served, seed, range(before + 1, stop + 1)):
            measured.append(round_)
            yield round_
        doubts = in_doubt(measured)
        served = [one for one in served if one.row.key in doubts]
        if not served:
            break


def _check(host: Host, comparison: Comparison, rows: Sequence[Row]) -> None:
    """Ask once for what is asked for. HostError, or ViewError of a variant of ours."""
    for row in rows:
        if not row.is_ours:
            for one in row.asks:
                host.check(one.path)
        elif not row.variant.may_fail and not row.variant.client:
            try:
                host.check(f"/{comparison.slug}/{row.route}/{'?seconds=0' if row.waiting else ''}")
            except HostError as error:
                raise ViewError(row.variant.name, f"cannot be measured: {error}") from None
