"""URLs that somebody else serves.

As a comparison: each is a variant, which needs no view here.
"""

import re
from collections.abc import Sequence

from django.http import HttpRequest, HttpResponseBase

from comparisons.registry import Comparison, Expectation, Metric, Variant
from loadtests.asks import Ask

USERS = 10  # where --users does not say
WHY = "That there is no difference is expected so that the difference is measured."


def answer(request: HttpRequest) -> HttpResponseBase:
    """Stand for what somebody else serves."""
    raise NotImplementedError


def named(asks: Sequence[Ask]) -> dict[str, Ask]:
    """Name each for its row: `/orders/?page=2` is get_orders_page_2."""
    found: dict[str, Ask] = {}
    for one in asks:
        words = re.findall(r"[A-Za-z0-9]+", one.path)
        name = "_".join(["get", *words])[:40]
        number, again = 1, name
        while again in found:
            number += 1
            again = f"{name}_{number}"
        found[again] = one
    return found


def comparison_of(names: Sequence[str], users: int | None, rate: float | None) -> Comparison:
    """Compare each with the first: in throughput, or in latency where a rate is given."""
    metric: Metric = "latency" if rate else "throughput"
    first, *others = names
    return Comparison(
        users=None if rate else users or USERS,
        rate=rate,
        variants=[Variant(answer, "wsgi-threads", name=name) for name in names],
        expectations=[
            Expectation(name, metric, of=first, between=(0.95, 1.05), why=WHY) for name in others
        ],
    )
