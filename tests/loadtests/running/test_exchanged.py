"""Pitfall and remedy exchanged, on real servers under real load: what was expected of either falls.

Of the comparisons that answer questions. A pair of names: the first is served as the second is
declared (view, deployment, shape, environment, clients), and the other way round.
"""

from contextlib import suppress
from dataclasses import replace

import pytest

from comparisons.pairs import COMPARISONS
from comparisons.registry import MAX_USERS
from loadtests.running.schedule import QUICK, Plan
from loadtests.running.warming import ViewError
from project.deployments import DEPLOYMENTS
from tests.support.rounds import judged, measured_rounds

EXCHANGED = {
    "servers": ("sync_one_at_a_time", "sync_threads"),
    "servers-wait": ("sync_one_at_a_time", "sync_threads"),
    "gevent": ("sync_computing", "sync_offloaded"),
    "worker-balance": ("sync_one_at_a_time", "sync_threads"),
    "timeouts": ("async_threaded", "async_native"),
    "cancelled-requests": ("async_orm", "async_native"),
    "overload": ("async_native", "async_limited"),
    "dead-connections": ("async_native", "async_native_checked"),
    "server-sent-events": ("async_sync_iterator", "async_direct"),
    "client-per-request": ("async_per_request", "async_shared"),
    "redis-pool": ("async_gather", "async_mget"),
    "gathered-tasks": ("async_gather", "async_task_group"),
    "connection-held": ("async_held", "async_native"),
    "sync-under-asgi": ("sync_shared_thread", "sync_asgi"),
    "atomic-requests": ("sync_in_transaction", "sync_committed"),
    "uploads": ("sync_one_thread", "sync"),
}
PLAN = Plan(window=QUICK.window, looks=(4,), min_answers=QUICK.min_answers)
LONGER = replace(PLAN, looks=(12,))  # where four rounds leave it open


def slots_of(variant):
    """Those of its own deployment, of each process; more than users where there is no limit."""
    deployment = DEPLOYMENTS[variant.deployment].shaped(threads=variant.threads)
    return (deployment.interface == "wsgi" and deployment.threads) or MAX_USERS


def as_declared(slug, variant, other):
    """The variant, served as the other is. What theory gives stays what is claimed of its name."""
    lying = {
        "DJANGO_SETTINGS_MODULE": "tests.support.lying_settings",
        "LIE": f"{slug}/{variant.name} {other.name}",
    }
    return replace(
        other,
        name=variant.name,
        environ=dict(other.environ) | lying,
        wait=variant.wait,
        slots=variant.slots or slots_of(variant),
        cpu=variant.cpu,
        pitfall=variant.pitfall,
        may_fail=variant.may_fail or other.may_fail,
    )


def verdicts_of(comparison, names, generator, plan):
    """The outcomes of what is expected of these two, in the first case, by the name.

    Who breaks down before it is measured has none but "invalid".
    """
    users, trip = comparison.cases[0]
    needed = {
        side for e in comparison.expectations if e.variant in names for side in (e.variant, e.of)
    }
    small = replace(
        comparison,
        users=comparison.users and users,
        round_trip=trip,
        variants=[v for v in comparison.variants if v.name in needed],
        expectations=[
            replace(e, users=None, round_trip=None)
            for e in comparison.expectations
            if e.variant in names and comparison.case(e) == (users, trip)
        ],
    )
    measured = []
    with suppress(ViewError):
        measured_rounds(small, generator, plan=plan, found=measured)
    found = judged(small, measured, plan)
    return {name: {v.outcome for v in found if v.expected.variant == name} for name in names}


@pytest.mark.long
@pytest.mark.parametrize("slug", EXCHANGED)
def test_verdicts_fall_on_both_sides_when_pitfall_and_remedy_are_exchanged(slug, generator):
    comparison, names = COMPARISONS[slug], EXCHANGED[slug]
    one, other = (next(v for v in comparison.variants if v.name == name) for name in names)
    exchanged = {one.name: as_declared(slug, one, other), other.name: as_declared(slug, other, one)}
    variants = [exchanged.get(v.name, v) for v in comparison.variants]
    for plan in (PLAN, LONGER):
        found = verdicts_of(replace(comparison, variants=variants), names, generator, plan)
        if not any("inconclusive" in outcomes for outcomes in found.values()):
            break
    for name in names:
        assert found[name] & {"refuted", "invalid"}, found
