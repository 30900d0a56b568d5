"""The reader's own requests, each way to serve them.

What `advise` measures, as a comparison: its variants are the candidates, which need no views here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from django.http import HttpRequest, HttpResponseBase

from comparisons.registry import Comparison, Expectation, Metric, Variant
from loadtests.asks import Ask
from loadtests.running.rows import Row
from project.deployments import Deployment

WHY = "What is within 5 % is no reason to change anything."
OF_OURS = {"wsgi": "wsgi-threads", "asgi": "asgi-uvicorn"}  # in whose place a candidate stands


def reader(request: HttpRequest) -> HttpResponseBase:
    """Stand for the reader's own view."""
    raise NotImplementedError


async def async_reader(request: HttpRequest) -> HttpResponseBase:
    """Stand for it in a candidate that is named as async variants are."""
    raise NotImplementedError


def comparison_of(
    candidates: Sequence[tuple[str, Literal["wsgi", "asgi"]]],
    base: str,
    users: int | None = None,
    rate: float | None = None,
    metric: Metric | None = None,
) -> Comparison:
    """Make the comparison of these candidates, a name and an interface each, with one of them.

    What is expected is no difference: rounds are measured until that is decided, and the verdict's
    ratio is the candidate's factor. metric: in what; by default in throughput, or in latency where
    a rate is given. (Latency it is, too, where the users of a locustfile pause between requests:
    their pauses are most of what throughput would show.)
    """
    metric = metric or ("latency" if rate else "throughput")
    return Comparison(
        users=None if rate else users,
        rate=rate,
        variants=[
            Variant(
                async_reader if name.startswith("async_") else reader, OF_OURS[interface], name=name
            )
            for name, interface in candidates
        ],
        expectations=[
            Expectation(name, metric, of=base, between=(0.95, 1.05), why=WHY)
            for name, _ in candidates
            if name != base
        ],
    )


def row_of(
    comparison: Comparison,
    name: str,
    deployment: Deployment,
    asks: Sequence[Ask],
    *,
    any_body: bool = False,
    locustfile: Path | None = None,
) -> Row:
    """Make the row of a candidate. asks: or else a locustfile, whose users come in a closed loop.

    any_body: whether the same request is answered with another body each time.
    """
    assert not (comparison.rate and locustfile)
    ((users, _round_trip),) = comparison.cases
    return Row(
        next(variant for variant in comparison.variants if variant.name == name),
        deployment,
        users,
        route=name,
        rate=comparison.rate,
        asks=() if locustfile else tuple(asks),
        any_body=any_body,
        locustfile=locustfile,
    )
