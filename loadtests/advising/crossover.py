"""What would change the answer: from where on an event loop serves more than threads do.

Computed from the profile, by the asymptotic bounds of a closed network (Lazowska et al., 1984,
chapter 5): N users, of requests that wait for Z and compute for C, are served at most
min(N, slots) / (Z + C) requests a second, and cores / C. An event loop has no slots, but another C.
"""

from collections.abc import Callable
from dataclasses import replace

from comparisons.advice import Candidate, Crossover
from loadtests.advising.candidates import Mix

MORE = 1.05  # by less it is no difference
MAX_USERS, MAX_WAIT_MS, MAX_DISTANCE_MS = 10_000, 60_000, 200


def crossovers(
    threads: Candidate, on_threads: Mix, on_loop: Mix, users: int, cores: int
) -> tuple[Crossover, ...]:
    """Say where, all else as measured, over users, wait and distance to the database.

    threads: the best of those that have slots. on_threads, on_loop: a request, as seen there.
    """

    def gain(n: float, mix: Mix, loop_mix: Mix) -> float:
        slots = min(n, threads.slots or n)
        by_threads = min(slots / mix.time, min(threads.workers, cores) / max(mix.cpu, 1e-6))
        by_loop = min(n / loop_mix.time, cores / max(loop_mix.cpu, 1e-6))
        return by_loop / by_threads

    def waiting(more_s: float) -> float:
        mixes = (replace(mix, wait=mix.wait + more_s) for mix in (on_threads, on_loop))
        return gain(users, *mixes)

    now_ms = 1000 * on_threads.wait
    found = [
        Crossover(
            "users",
            users,
            first(lambda n: gain(n, on_threads, on_loop), 1, MAX_USERS),
            MAX_USERS,
        ),
        Crossover(
            "wait",
            round(now_ms, 1),
            first(lambda ms: waiting((ms - now_ms) / 1000), now_ms, MAX_WAIT_MS),
            MAX_WAIT_MS,
        ),
    ]
    if on_threads.queries:
        found.append(
            Crossover(
                "distance",
                0,
                first(lambda ms: waiting(on_threads.queries * ms / 1000), 0, MAX_DISTANCE_MS),
                MAX_DISTANCE_MS,
            )
        )
    return tuple(found)


def first(gain: Callable[[float], float], low: float, high: float) -> float | None:
    """Return from where on the loop gains, in steps of a twentieth; None: nowhere up to `high`."""
    value = low
    while value <= high:
        if gain(value) >= MORE:
            return float(f"{value:.3g}")
        value = max(value * 1.05, value + (1 if high > 1000 else 0.1))
    return None
