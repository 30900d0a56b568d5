"""What gets rounds, and what this machine cannot measure."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

from comparisons.registry import Comparison, Variant
from loadtests import crowds
from loadtests.asks import Ask
from loadtests.judging.rounds import AGAIN
from project import services
from project.deployments import DEPLOYMENTS, DIRECT, Deployment
from project.services import distance, pgbouncer

# Without this in its environment, Django's ASGI handler holds a thread for each request that waits.
SHARED_THREAD = "SHARED_THREAD"


@dataclass(frozen=True)
class Row:
    """What gets rounds: a variant on a deployment, in one case of load and distance.

    asks, locustfile: where the deployment serves a project of the reader's, what it is asked for.
    """

    variant: Variant
    deployment: Deployment
    users: int
    round_trip: float = 0  # ms
    route: str = ""  # the variant's name in its URL
    rate: float | None = None  # requests/s, for an open loop
    raw: bool = False  # by raw users
    waiting: float | None = None  # seconds that every user's one request waits
    asks: tuple[Ask, ...] = ()
    any_body: bool = False  # what is answered differs each time
    locustfile: Path | None = None
    max_requests: int | None = None  # in a round, where somebody else serves

    @property
    def is_ours(self) -> bool:
        return not (self.asks or self.locustfile)

    @property
    def bodies_differ(self) -> bool:
        """Tell whether right answers of one round may have several bodies."""
        return self.any_body or len(self.asks) > 1 or self.locustfile is not None

    @property
    def key(self) -> tuple[str, int, float]:
        return self.variant.name, self.users, self.round_trip

    def environ(self, server: int) -> dict[str, str]:
        """Return the variant's own environment, for the server of this number."""
        given = self.variant.environ.items()
        return {name: text.replace("{row}", str(server)) for name, text in given}

    def server_environ(self, slug: str, away: Mapping[str, str], server: int) -> dict[str, str]:
        """Return all that its server is told besides what its deployment tells it.

        away: the services' URLs, as far away as the row wants them.
        """
        if not self.is_ours:
            return self.environ(server)
        return {**away, **self.environ(server), "SERVED": f"{slug}/{self.route}"}


def rows_of(comparison: Comparison, names: list[str], rate: float | None) -> list[Row]:
    """Make a row per case, variant and deployment: the variant's own, or those of its interface.

    Of several cases, a variant is measured in those in which something is expected of it.
    """
    needed = {
        (name, case)
        for expectation in comparison.expectations
        for name in expectation.sides
        for case in [comparison.case(expectation)]
    }
    everywhere = len(comparison.cases) == 1 or not comparison.expectations
    return [
        Row(
            variant,
            DEPLOYMENTS[name].shaped(
                variant.workers, variant.threads, variant.database, variant.app
            ),
            users,
            round_trip,
            route=variant.name.removesuffix(AGAIN),
            rate=rate or comparison.rate,
            raw=comparison.raw and not rate,
            waiting=comparison.waiting(users) if comparison.waiting and not rate else None,
        )
        for users, round_trip in comparison.cases
        for variant in comparison.variants
        if everywhere or (variant.name, (users, round_trip)) in needed
        for name in dict.fromkeys(names or [variant.deployment])
        if is_for(variant, name) and not why_unfit(comparison, variant, name)
    ]


def is_direct(name: str) -> bool:
    """Tell whether the deployment serves by our handler."""
    return DEPLOYMENTS[name].app == DIRECT


def is_for(variant: Variant, name: str) -> bool:
    """Tell whether the deployment has the interface of the variant's own."""
    return DEPLOYMENTS[name].interface == DEPLOYMENTS[variant.deployment].interface


def why_unfit(comparison: Comparison, variant: Variant, name: str) -> str:
    """Say why the deployment cannot be what the variant declares; "" if it can.

    Where the handler is the question, a variant keeps its own: with the other one it would be
    another variant, under its name.
    """
    asked = {is_direct(other.deployment) for other in comparison.variants} == {True, False}
    if asked and not variant.app and is_direct(name) != is_direct(variant.deployment):
        return f"its handler is the question, and {name} has another"
    if variant.is_async and (why := DEPLOYMENTS[name].why_not_async):
        return f"it is an async view, and {name} serves none: {why}"
    try:
        DEPLOYMENTS[name].shaped(variant.workers, variant.threads, variant.database, variant.app)
    except ValueError as error:
        shape = {
            "processes": variant.workers,
            "threads": variant.threads,
            "database mode": variant.database,
        }
        declared = " and ".join(f"{value} {what}" for what, value in shape.items() if value)
        return f"it declares {declared}, and {error}"
    return ""


def why_unmeasurable(row: Row, workers: int = 1, serves: bool = True) -> str:
    """Say why the row cannot be measured on this machine; "" if it can.

    workers: the load generators here, who share its users; 0 where all are elsewhere. serves:
    whether the server is here.
    """
    slots = row.deployment.workers * row.deployment.threads
    if row.waiting and row.deployment.interface == "wsgi" and 0 < slots < row.users:
        return f"{slots} threads cannot let {row.users} requests wait at once"
    processes, threads = max(1, row.deployment.workers), _threads_held(row)
    why = crowds.why_missing(
        row.users, workers, threads * serves, serves=serves, processes=processes
    )
    if why:
        return why
    if row.deployment.database == "pgbouncer" and (why := pgbouncer.why_missing()):
        return why
    if row.round_trip and (why := distance.why_no_distance(addresses())):
        return why
    if role := row.environ(server=0).get("DATABASE_ROLE"):
        return _why_no_login(role)
    return ""


def _threads_held(row: Row) -> int:
    """Return how many threads the server holds while all requests of the row wait."""
    if not row.waiting:
        return 0
    if row.deployment.interface == "wsgi":
        return row.deployment.workers * row.deployment.threads
    shares = is_direct(row.deployment.name) or row.variant.app or row.environ(0).get(SHARED_THREAD)
    return 0 if shares else row.users


def addresses() -> dict[str, str]:
    """Return the services' URLs by environment variable."""
    return {service.variable: os.environ[service.variable] for service in services.SERVICES}


def _why_no_login(role: str) -> str:
    """Say why nobody can log in as this role, which migration 0003 makes where it may; or ""."""
    try:
        psycopg.connect(os.environ["DATABASE_URL"], user=role).close()
    except psycopg.OperationalError as error:
        return f"cannot log in as {role}: {str(error).splitlines()[0]}"
    return ""
