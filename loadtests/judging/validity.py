"""Whether a round counts, and whether a variant's rounds suffice: every reason against them."""

from collections import Counter
from collections.abc import Sequence

from loadtests.judging import metrics
from loadtests.judging.rounds import Round

MAX_GENERATOR_CPU = 0.8  # of one core: above it, the generator's own queue is in the latency
MAX_CAPACITY_SHARE = 0.8  # of what the generator can do against a trivial server
# Steal stretches CPU-bound work by as much: a tenth is what "no difference" leaves room for.
MAX_STEAL = 0.1
# Half a window: shorter stalls are noise, which the intervals show.
MAX_STALL_S = 0.25
MAX_CLOCK_JUMP_S = 0.01  # samples are placed in the window by the wall clock
MIN_ANSWERS = 3
# More than users / wait is impossible; a tenth is left for what the window's edges cost.
MAX_OF_WAITS = 1.1


def is_stalled(generator_stall_s: float, clock_jump_s: float) -> bool:
    """Whether the load generator's times are wrong."""
    return generator_stall_s > MAX_STALL_S or abs(clock_jump_s) > MAX_CLOCK_JUMP_S


def why_disturbed(round_: Round) -> list[str]:
    """What came between that has nothing to do with the variant: the round is to be repeated."""
    reasons = []
    if round_.throttled > MAX_STEAL:
        reasons.append(f"the container's quota held it back for {round_.throttled:.0%} of the time")
    if round_.steal > MAX_STEAL:
        reasons.append(f"the hypervisor took {round_.steal:.0%} of the CPU")
    for what, seconds in (
        ("the load generator stood still", round_.generator_stall),
        ("compare itself stood still", round_.compare_stall),
        ("PostgreSQL did not answer", round_.postgres_stall),
    ):
        if seconds > MAX_STALL_S:
            reasons.append(f"{what} for {seconds:.1f} s")
    if abs(round_.clock_jump) > MAX_CLOCK_JUMP_S:
        reasons.append(f"the clock was set by {round_.clock_jump:+.2f} s, or the machine slept")
    return reasons


def why_invalid(round_: Round, digest: int | None) -> list[str]:
    """Why the round does not count; nothing when it does.

    digest: of the body that the comparison's variants agree on.
    """
    reasons = list(round_.broken)
    if not round_.samples and reasons:  # it was not measured at all
        return reasons
    answers = round_.due()
    for whose, calls in (
        ("answers", [] if round_.may_fail else round_.samples),
        ("bystander's answers", [] if round_.may_fail else round_.bystander_answers()),
    ):
        errors = Counter(sample.error for sample in calls if sample.failed)
        for error, count in errors.most_common(2):
            reasons.append(f"{count} of {len(calls)} {whose} failed: {error}")
    if round_.waiting and len(answers) < round_.users:
        reasons.append(f"{len(answers)} of {round_.users} requests waited at once")
    elif not round_.waiting and len(answers) < MIN_ANSWERS:
        reasons.append(f"only {len(answers)} answers in the window")
    bodies = {sample.digest for sample in answers if not sample.error}
    if digest is not None and bodies - {digest}:
        reasons.append("another body than the other variants'")
    reasons += why_saturated(round_)
    reasons += why_disturbed(round_)
    # What slots or cores allow is a claim, which a measurement may refute; that a wait takes its
    # time is none.
    rate = metrics.throughput(round_)
    closed_loop = round_.rate is None and not round_.waiting
    if round_.wait and closed_loop and rate > MAX_OF_WAITS * round_.users / round_.wait:
        reasons.append(f"{rate:.0f} answers/s are more than {round_.users} users who wait can have")
    return reasons


def why_saturated(round_: Round) -> list[str]:
    """Which load generators were the limit themselves, or have a clock that nobody knows."""
    alone = {
        "cpu": round_.generator_cpu,
        "capacity": round_.generator_capacity,
        "answers_per_s": metrics.answers_per_second(round_),
    }
    reasons = []
    for one in round_.generators or [alone]:
        name = f"the load generator {one['name']}" if "name" in one else "the load generator"
        if one["cpu"] > MAX_GENERATOR_CPU:
            reasons.append(f"{name} used {one['cpu']:.0%} of its core")
        capacity = one["capacity"]
        if capacity and one["answers_per_s"] > MAX_CAPACITY_SHARE * capacity:
            reasons.append(f"{name} is near its limit of {capacity:.0f} requests/s")
        if one.get("uncertain_ms", 0) > 1000 * MAX_CLOCK_JUMP_S:
            reasons.append(f"the clock of {name} is known to ±{one['uncertain_ms']:.0f} ms only")
    return reasons


def why_insufficient(of_row: Sequence[Round], digest: int | None) -> list[str]:
    """Why a variant's rounds do not suffice: less than half of its blocks, or only one, count.

    A block counts if a round of it does: what was repeated for a disturbance is not held against
    the repeat.
    """
    reasons: dict[int, list[list[str]]] = {}
    for round_ in of_row:
        reasons.setdefault(round_.block, []).append(why_invalid(round_, digest))
    good = sum(not all(tries) for tries in reasons.values())
    if good >= 2 and 2 * good >= len(reasons):
        return []
    found = list(dict.fromkeys(r for tries in reasons.values() for one in tries for r in one))
    return found or [f"{good} rounds only"]


def agreed_digest(measured: Sequence[Round]) -> int | None:
    """The body that most variants answer with; a variant has one voice, not one an answer."""
    voices = {
        (*round_.row, sample.digest)
        for round_ in measured
        for sample in round_.answers()
        if not sample.error
    }
    most = Counter(digest for *_, digest in voices).most_common(1)
    return most[0][0] if most else None
