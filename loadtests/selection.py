"""What a run of `compare` measures: the comparisons asked for, their load, and their rows."""

from dataclasses import replace
from typing import Any

from comparisons.pairs import COMPARISONS
from comparisons.registry import Comparison, Expectation
from loadtests.arguments import known, reshape
from loadtests.measure import Row
from project.deployments import DEPLOYMENTS

AGAIN = "_again"


def choose(options: dict[str, Any]) -> list[tuple[Comparison, list[Row]]]:
    """What to measure: the comparisons with the load that was asked for, and their rows."""
    slugs = [known(slug, COMPARISONS, "comparison") for slug in options["slugs"]]
    names = [known(name, DEPLOYMENTS, "deployment") for name in options["deployment"]]
    wanted = list(dict.fromkeys(slugs)) or list(COMPARISONS)
    comparisons = [with_load(COMPARISONS[slug], options) for slug in wanted]
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


def against_itself(comparison: Comparison) -> Comparison:
    """The A/A comparison: every variant under two names, expected to differ by less than 5 %.

    What comes out refuted is a false alarm: both names are the same view on the same deployment.
    """
    again = [replace(variant, name=variant.name + AGAIN) for variant in comparison.variants]
    expectations = [
        Expectation(variant.name + AGAIN, "throughput", of=variant.name, between=(0.95, 1.05))
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
        )
        for users, round_trip in comparison.cases
        for variant in comparison.variants
        if everywhere or (variant.name, (users, round_trip)) in needed
        for name in dict.fromkeys(names or [variant.deployment])
        if DEPLOYMENTS[name].interface == DEPLOYMENTS[variant.deployment].interface
    ]
