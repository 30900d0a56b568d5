"""Where more users bring no more answers, and what is used up there."""

from collections.abc import Sequence

from comparisons.advice import Candidate, Profile, Step

GROWS = 1.1  # by less from one step to the next, users doubled, it grows no more
BUSY = 0.85  # of what there is: all of it is never seen, for windows have edges


def knee(steps: Sequence[Step]) -> int | None:
    """Return the users from which on more of them bring less than a tenth more; None: not seen."""
    best = max((step.throughput for step in steps), default=0)
    for step in steps[:-1]:
        if best < GROWS * step.throughput:
            return step.users
    return None


def gives_first(
    steps: Sequence[Step],
    knee_users: int | None,
    candidate: Candidate,
    cores: int,
    profiles: Sequence[Profile],
) -> str:
    """Say what is used up at saturation: see Sweep. "" where nothing stands out, or none is seen.

    A process computes on one core at most (the GIL), and the load generator needs one too.
    """
    if knee_users is None:
        return ""
    last = max((step for step in steps if step.users >= knee_users), key=lambda s: s.throughput)
    left = cores if candidate.workers < cores else max(1, cores - 1)
    if last.cpu >= BUSY * min(candidate.workers, left):
        return "cpu"
    if candidate.pool and last.db_connections >= candidate.pool * candidate.workers:
        return "connections"
    held = max((_held_ms(profile) for profile in profiles), default=0)
    if candidate.interface == "asgi" and held * last.throughput / 1000 >= BUSY * candidate.workers:
        return "loop"
    if candidate.slots and steps[-1].users > candidate.slots:
        return "threads"
    waits = [profile.query_ms / profile.wall_ms for profile in profiles if profile.wall_ms]
    return "database" if waits and max(waits) >= 0.5 else ""


def _held_ms(profile: Profile) -> float:
    return sum(line.ms for line in profile.lines if line.kind == "holds")
