"""What a run of `compare` measures: the comparisons asked for, their load, and their rows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from comparisons.loading import why_unknown
from comparisons.pairs import COMPARISONS
from comparisons.registry import Comparison, Expectation, Metric, most_users
from loadtests.arguments import bad, known, reshape
from loadtests.judging.rounds import AGAIN
from loadtests.running.rows import Row, is_for, rows_of, why_unfit
from project.deployments import DEPLOYMENTS

SAME_VIEW = "It is the same view on the same deployment: what is refuted is a false alarm."
MAX_QUICK_USERS = 100  # users of a quick run: a thousand take seconds to come


@dataclass(frozen=True)
class Choice:
    """What to measure, and a line for each thing that was asked for and cannot be measured."""

    rows: list[tuple[Comparison, list[Row]]]
    left_out: list[str]


def choose(options: Mapping[str, Any]) -> Choice:
    """Choose the comparisons, with the load that was asked for, and rows. CommandError if none."""
    slugs = [known_slug(slug) for slug in options["slugs"]]
    names = [known(name, DEPLOYMENTS, "deployment") for name in options["deployment"]]
    found, left_out = [], []
    for slug in dict.fromkeys(slugs or COMPARISONS):
        if why := why_not_under_load(COMPARISONS[slug], options):
            left_out.append(f"{slug} is left out: {why}")
            continue
        comparison = with_load(COMPARISONS[slug], options)
        if options["quick"] and options["users"] is None:
            comparison = without_crowds(comparison)
        if options["null"]:
            comparison = against_itself(comparison, options["rate"] or comparison.rate)
        rows = rows_of(comparison, names, options["rate"])
        if options["quick"] and not (names or options["null"]):
            rows = [row for row in rows if is_expected_of(comparison, row)]
        reasons = [
            f"{slug}/{variant.name} is left out: {why}"
            for name in names
            for variant in comparison.variants
            if is_for(variant, name) and (why := why_unfit(comparison, variant, name))
        ]
        if rows:
            found.append((comparison, rows))
        elif not reasons:
            reasons = [f"{slug} is left out: it has no variant for {' or '.join(names)}"]
        left_out += reasons
    if not found:
        raise bad(f"nothing to measure: {'; '.join(left_out)}")
    left_out += not_judged(found, options)
    shaped = reshape({row.deployment for _, rows in found for row in rows}, options)
    return Choice(
        [
            (comparison, [replace(row, deployment=shaped[row.deployment]) for row in rows])
            for comparison, rows in found
        ],
        left_out,
    )


def is_expected_of(comparison: Comparison, row: Row) -> bool:
    """Tell whether anything is expected of the row's variant; of all, where it is of none."""
    expectations = COMPARISONS[comparison.slug].expectations
    return not expectations or any(row.variant.name in each.sides for each in expectations)


def known_slug(slug: str) -> str:
    """Return the slug if there is such a comparison; else raise CommandError, which says why."""
    if slug not in COMPARISONS and (why := why_unknown(slug)):
        raise bad(why)
    return known(slug, COMPARISONS, "comparison")


def why_not_under_load(comparison: Comparison, options: Mapping[str, Any]) -> str:
    """Say why the comparison has nothing to measure under the requested load; "" if it has."""
    leave = any(variant.client and variant.client.leaves_after for variant in comparison.variants)
    if options["rate"] and comparison.waiting:
        return "its requests only wait, which needs no --rate"
    if options["rate"] and leave:
        return "its users leave, which needs no --rate"
    if options["users"] and comparison.rate:
        return "its load is a rate, and no number of users"
    if options["users"] and options["users"] > (most := most_users(comparison)):
        return f"it takes {most:,} users at most: more can only wait"
    least = min(users for users, _ in comparison.cases)
    if options["quick"] and options["users"] is None and least > MAX_QUICK_USERS:
        return f"a quick run has at most {MAX_QUICK_USERS} users (or what --users says)"
    return ""


def with_load(comparison: Comparison, options: Mapping[str, Any]) -> Comparison:
    """Return the comparison with the requested load, and with the expectations that speak of it.

    An expectation speaks of its distance, which its bound and its variant's wait are derived from;
    of a number of users if it names one, or is a function of it otherwise; and of a closed loop.
    """
    users, trip = options["users"], options["round_trip"]

    def speaks_of_it(expectation: Expectation) -> bool:
        return (
            not options["rate"]
            and expectation.users in (None, users or expectation.users)
            and (trip is None or comparison.case(expectation)[1] == trip)
        )

    return replace(
        comparison,
        users=users or comparison.users,
        round_trip=comparison.round_trip if trip is None else trip,
        expectations=[e for e in comparison.expectations if speaks_of_it(e)],
    )


def not_judged(rows: list[tuple[Comparison, list[Row]]], options: Mapping[str, Any]) -> list[str]:
    """Say, in one line or none, how many expectations speak of another load than is measured."""
    dropped = {
        comparison.slug: len(COMPARISONS[comparison.slug].expectations)
        - len(comparison.expectations)
        for comparison, _ in rows
    }
    slugs = [f"{slug} {count}" for slug, count in dropped.items() if count]
    if not slugs or options["null"]:
        return []
    count = sum(dropped.values())
    if options["rate"]:
        what = "a closed loop of users"
    elif options["users"] is not None or options["round_trip"] is not None:
        what = "another number of users, or another distance"
    else:
        what = f"more than {MAX_QUICK_USERS} users"
    return [f"not judged: {count} expectations that speak of {what} ({', '.join(slugs)})"]


def without_crowds(comparison: Comparison, most: int = MAX_QUICK_USERS) -> Comparison:
    """Return the comparison without its cases of more users than that."""
    users = {users for users, _ in comparison.cases}
    if max(users) <= most:
        return comparison
    return replace(
        comparison,
        users=tuple(sorted(count for count in users if count <= most)),
        expectations=[
            expectation
            for expectation in comparison.expectations
            if comparison.case(expectation)[0] <= most
        ],
    )


def against_itself(comparison: Comparison, rate: float | None = None) -> Comparison:
    """Return the A/A comparison: every variant under two names, equal within 5 %.

    In throughput; in latency where an open loop asks for a throughput; in memory where requests
    only wait.

    What comes out refuted is a false alarm: both names are the same view on the same deployment.
    """
    metric: Metric = "memory" if comparison.waiting else "latency" if rate else "throughput"
    again = [replace(variant, name=variant.name + AGAIN) for variant in comparison.variants]
    expectations = [
        Expectation(
            variant.name + AGAIN, metric, of=variant.name, between=(0.95, 1.05), why=SAME_VIEW
        )
        for variant in comparison.variants
    ]
    return replace(
        comparison,
        users=comparison.users and comparison.cases[0][0],
        round_trip=comparison.cases[0][1],
        variants=[*comparison.variants, *again],
        expectations=expectations,
    )
