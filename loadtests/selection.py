"""What a run of `compare` measures: the comparisons asked for, their load, and their rows."""

from dataclasses import replace
from typing import Any

from comparisons.pairs import COMPARISONS
from comparisons.registry import Comparison, Expectation, Metric
from loadtests.arguments import known, reshape
from loadtests.measure import Row
from loadtests.rounds import AGAIN
from project.deployments import DEPLOYMENTS

MOST_QUICKLY = 100  # users of a quick run: a thousand take seconds to come


def choose(options: dict[str, Any]) -> list[tuple[Comparison, list[Row]]]:
    """What to measure: the comparisons with the load that was asked for, and their rows."""
    slugs = [known(slug, COMPARISONS, "comparison") for slug in options["slugs"]]
    names = [known(name, DEPLOYMENTS, "deployment") for name in options["deployment"]]
    wanted = list(dict.fromkeys(slugs)) or list(COMPARISONS)
    comparisons = [with_load(COMPARISONS[slug], options) for slug in wanted]
    if options["quick"] and options["users"] is None:
        comparisons = [without_crowds(comparison) for comparison in comparisons]
    if options["null"]:
        comparisons = [against_itself(comparison) for comparison in comparisons]
    found = [
        (comparison, rows_of(comparison, names, options["rate"])) for comparison in comparisons
    ]
    shaped = reshape({row.deployment for _, rows in found for row in rows}, options)
    return [
        (comparison, [replace(row, deployment=shaped[row.deployment]) for row in rows])
        for comparison, rows in found
        if rows
    ]


def with_load(comparison: Comparison, options: dict[str, Any]) -> Comparison:
    """The comparison under the load of the options. Its expectations speak of the new one then."""
    users, trip = options["users"], options["round_trip"]
    if users is None and trip is None:
        return comparison
    expectations = [
        replace(
            expectation,
            users=expectation.users if users is None else None,
            round_trip=expectation.round_trip if trip is None else None,
        )
        for expectation in comparison.expectations
    ]
    return replace(
        comparison,
        users=comparison.users if users is None else users,
        round_trip=comparison.round_trip if trip is None else trip,
        expectations=list(dict.fromkeys(expectations)),
    )


def without_crowds(comparison: Comparison) -> Comparison:
    """The comparison without its cases of more than MOST_QUICKLY users."""
    users = {users for users, _ in comparison.cases}
    return replace(
        comparison,
        users=tuple(sorted(count for count in users if count <= MOST_QUICKLY)),
        expectations=[
            expectation
            for expectation in comparison.expectations
            if comparison.case(expectation)[0] <= MOST_QUICKLY
        ],
    )


def against_itself(comparison: Comparison) -> Comparison:
    """The A/A comparison: every variant under two names, expected to differ by less than 5 %.

    In throughput; where requests only wait, in memory.

    What comes out refuted is a false alarm: both names are the same view on the same deployment.
    """
    metric: Metric = "memory" if comparison.waiting else "throughput"
    again = [replace(variant, name=variant.name + AGAIN) for variant in comparison.variants]
    expectations = [
        Expectation(variant.name + AGAIN, metric, of=variant.name, between=(0.95, 1.05))
        for variant in comparison.variants
    ]
    return replace(
        comparison,
        users=comparison.cases[0][0],
        round_trip=comparison.cases[0][1],
        variants=[*comparison.variants, *again],
        expectations=expectations,
    )


def rows_of(comparison: Comparison, names: list[str], rate: float | None) -> list[Row]:
    """A row per case, variant and deployment: the variant's own, or those of its interface.

    Of several cases, a variant is measured in those in which something is expected of it.
    """
    needed = {
        (name, case)
        for expectation in comparison.expectations
        for name in (expectation.variant, expectation.of)
        for case in [comparison.case(expectation)]
    }
    everywhere = len(comparison.cases) == 1
    return [
        Row(
            variant,
            DEPLOYMENTS[name].shaped(variant.workers, variant.threads, variant.database),
            users,
            round_trip,
            route=variant.name.removesuffix(AGAIN),
            rate=rate,
            waiting=comparison.waiting(users) if comparison.waiting and not rate else None,
        )
        for users, round_trip in comparison.cases
        for variant in comparison.variants
        if everywhere or (variant.name, (users, round_trip)) in needed
        for name in dict.fromkeys(names or [variant.deployment])
        if DEPLOYMENTS[name].interface == DEPLOYMENTS[variant.deployment].interface
    ]
