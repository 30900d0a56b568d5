"""A stretch of one round for each row of a case: what a picture of single requests shows."""

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from statistics import median
from typing import TypeVar

from comparisons.result import Timeline
from loadtests.judging import metrics
from loadtests.judging.rounds import Round, Sample

T = TypeVar("T")

MOST_REQUESTS = 90  # of a row
TURNS = 3  # of the slowest row's requests, if no row has more than MOST_REQUESTS meanwhile
FEWEST_TURNS = 1.5


def typical(rounds: Sequence[Round]) -> Round | None:
    """The round with the median throughput, of an even number the lower; None if none was run."""
    run = sorted((round_ for round_ in rounds if round_.samples), key=metrics.throughput)
    return run[(len(run) - 1) // 2] if run else None


def timelines(rounds: Sequence[Round | None]) -> list[Timeline | None]:
    """Of a case's rows: the same stretch of each, as far as they can be compared.

    Of closed loops one from the begin of the round, when all users come at once: the window opens
    when they have spread. An open loop's is the whole window, through which its backlog grows.
    Where every user sends one request, it is the whole round: in the window they all wait.
    """
    length = _length([r for r in rounds if r and r.rate is None and not r.waiting])
    return [_timeline(round_, length) if round_ else None for round_ in rounds]


def _length(rounds: Sequence[Round]) -> float:
    """Seconds: no longer than any round, short where many requests fall into it."""
    if not rounds:
        return 0
    slowest = max(median(s.latency_ms for s in r.due() or r.samples) / 1000 for r in rounds)
    longest = min(round_.closed - _begin(round_) for round_ in rounds)
    few_enough = min(_few_enough(round_) for round_ in rounds)
    return min(longest, max(min(TURNS * slowest, few_enough), FEWEST_TURNS * slowest))


def _begin(round_: Round) -> float:
    return min(sample.start for sample in round_.samples)


def _few_enough(round_: Round) -> float:
    """Seconds from the round's begin in which no more than MOST_REQUESTS are under way."""
    starts = sorted(sample.start for sample in round_.samples)
    return starts[MOST_REQUESTS] - starts[0] if len(starts) > MOST_REQUESTS else float("inf")


def _timeline(round_: Round, length: float) -> Timeline:
    if round_.rate is not None:
        begin, end = round_.opened, round_.closed
    else:
        begin = _begin(round_)
        end = max(s.end for s in round_.samples) if round_.waiting else begin + length
    requests = _within(round_.samples, begin, end)
    kept = _of_some_users(requests) if round_.rate is None else _evenly(requests)
    calls = _evenly(_within(round_.bystander, begin, end))
    digits = 2 if end - begin < 0.1 else 1 if end - begin < 1 else 0
    return Timeline(
        length=_ms(end - begin, digits),
        requests=[[*_placed(sample, begin, digits), int(sample.failed)] for sample in kept],
        bystander=[_placed(sample, begin, digits) for sample in calls],
        of=len(requests),
    )


def _within(samples: Iterable[Sample], begin: float, end: float) -> list[Sample]:
    """Those under way at any time of it, by their ends."""
    found = [sample for sample in samples if sample.end >= begin and sample.start <= end]
    return sorted(found, key=lambda sample: sample.end)


def _of_some_users(requests: Sequence[Sample]) -> Sequence[Sample]:
    """All requests of as many users as there is room for; of one that has more, some.

    Whose a request was nobody has written down: a user's next begins when the last has ended.
    """
    users: list[list[Sample]] = []
    busy: list[tuple[float, int]] = []  # until when, and who: a heap
    free: list[int] = []  # in the order in which they became so
    for request in sorted(requests, key=lambda sample: (sample.start, sample.end)):
        while busy and busy[0][0] <= request.start:
            free.append(heappop(busy)[1])
        if free:
            user = free.pop()
            users[user].append(request)
        else:
            user = len(users)
            users.append([request])
        heappush(busy, (request.end, user))
    for count in range(min(len(users), MOST_REQUESTS), 0, -1):
        kept = [request for own in _evenly(users, count) for request in own]
        if len(kept) <= MOST_REQUESTS:
            return sorted(kept, key=lambda sample: sample.end)
    return _evenly(users[0]) if users else []


def _evenly(things: Sequence[T], most: int = MOST_REQUESTS) -> Sequence[T]:
    """So many of them, from the first to the last."""
    if len(things) <= most:
        return things
    return [things[round(n * (len(things) - 1) / max(1, most - 1))] for n in range(most)]


def _placed(sample: Sample, begin: float, digits: int) -> list[float]:
    return [_ms(sample.start - begin, digits), _ms(sample.latency_ms / 1000, digits)]


def _ms(seconds: float, digits: int) -> float:
    return round(1000 * seconds, digits or None)
