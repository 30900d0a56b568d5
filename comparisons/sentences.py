"""What was expected and what was found, as sentences: the same in terminal, pages and README."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

from comparisons.registry import LIMITS, SHARES
from comparisons.result import Expected, Verdict, figure, interval

# What a reader may not know, explained where it is used.
TERMS = {
    "ceiling": "what the work allows: min(users, slots) / wait, or cores / CPU time of the work",
    "backlog": "requests that wait for an answer while as many come as ever (open loop)",
    "bystander": "a user who calls a trivial view of the same server meanwhile, 40 times a second",
    "wait": "the least time that a request has to wait, on any server",
    "work": "the CPU time of the work that a request does",
    "queue": "users / (wait + users × CPU time of a request): each waits, then comes last in turn",
}
MANY_TIMES = 1.5  # from here on a factor is said in times, below it in percent
THEORY = {
    "ceiling": "its ceiling",
    "wait": "a request's wait",
    "work": "a request's CPU work",
    "queue": "what a queue for the CPU leaves it",
}


@dataclass(frozen=True)
class Words:
    """How a metric is said: `async_native serves` 3 times `as many requests a second as sync`.

    times: what follows a factor; share: what follows a percentage; unit: what follows a value.
    """

    does: str
    times: str = "that of {of}"
    share: str = "of that of {of}"
    unit: str = " ms"


WORDS = {
    "throughput": Words(
        "{variant} serves",
        "as many requests a second as {of}",
        "of the requests a second of {of}",
        " requests a second",
    ),
    "latency": Words("{variant} answers after", "the time of {of}", "of the time of {of}"),
    "latency_p99": Words("the slowest hundredth of {variant}'s answers comes after"),
    "first_byte": Words(
        "{variant} sends its first byte after", "the time of {of}", "of the time of {of}"
    ),
    "bystander": Words(
        "a bystander of {variant} waits", "as long as one of {of}", "of the time of one of {of}"
    ),
    "bystander_max": Words("the longest wait of a bystander of {variant} is"),
    "cpu_per_request": Words(
        "a request to {variant} takes",
        "the CPU time of one to {of}",
        "of the CPU time of one to {of}",
        " ms of CPU time",
    ),
    "memory": Words("{variant} takes", "the memory of {of}", "of the memory of {of}", " MB"),
    "busiest_worker": Words(
        "the busiest worker of {variant} takes", unit=" times the CPU time of the average one"
    ),
    "threads": Words("{variant}'s server has", unit=" threads"),
    "connections": Words("{variant} holds", unit=" connections to Postgres"),
    "queries": Words("Postgres runs for {variant}", unit=" queries at once"),
    "transactions": Words("{variant} has open in Postgres", unit=" transactions at once"),
    "upstream_calls": Words("{variant} keeps the upstream busy with", unit=" calls at once"),
    "failed": Words("a round of {variant} has", unit=" requests that fail"),
    "backlog_growth": Words(
        "{variant}'s backlog grows by",
        "as much as that of {of}",
        "of that of {of}",
        " requests a second",
    ),
    "pool_wait": Words("a request to {variant} waits for a connection"),
    "failures": Words("of {variant}'s requests", unit=" % fail"),
}


def expectation_sentence(expected: Expected) -> str:
    """For instance `async_native serves at least 3 times as many requests a second as sync`."""
    words, case, percent = _words(expected), _case(expected), _is_percent(expected)
    bounds = _bounds(expected, percent)
    if expected.metric in SHARES:
        share = "none" if expected.high == 0 else bounds
        return f"of the requests to {expected.variant}, {share} fail{case}"
    if expected.low is None and expected.high is None:  # NEAR, SAME: no machine is calibrated yet
        if expected.of in THEORY:
            near = f"as near to {THEORY[expected.of]} as a request's cost on this machine"
            return f"{expected.variant} comes {near} lets it come{case}"
        return f"{words.does} {words.times}, but for a request's cost on this machine{case}"
    return f"{words.does} {_amount(expected, bounds, percent)}{case}"


def sentence(verdict: Verdict) -> str:
    """What was found, what was expected, and how sure it is."""
    expected = verdict.expected
    if expected is None:  # of an older file
        bounds = interval(verdict.low, verdict.high)
        said = f"{figure(verdict.measured)} ({bounds}; {verdict.because})"
        return f"{verdict.expectation}: {verdict.because if verdict.measured is None else said}"
    place = f" on {verdict.deployment}" if verdict.deployment else ""
    if verdict.outcome == "invalid":
        return f"not measured: {expectation_sentence(expected)}{place}: {verdict.because}"
    percent = _is_percent(expected, verdict.measured)
    found = f"{_found(verdict, expected, percent)}{_case(expected)}{place}"
    none = expected.metric in SHARES and expected.high == 0
    bounds = "none" if none else _bounds(expected, percent)
    remarks = [f"{bounds} expected", _sureness(verdict, expected, percent)]
    if verdict.open_because:
        remarks.append(f"to decide it takes {verdict.open_because}")
    return f"{found} ({'; '.join(remark for remark in remarks if remark)})"


def terms(verdicts: Sequence[Verdict]) -> list[tuple[str, str]]:
    """The terms that these sentences use, each with its meaning."""
    expectations = [verdict.expected for verdict in verdicts if verdict.expected]
    used = {expected.of for expected in expectations}
    used |= {"backlog" for e in expectations if e.metric == "backlog_growth"}
    used |= {"bystander" for e in expectations if e.metric in ("bystander", "bystander_max")}
    return [(term, meaning) for term, meaning in TERMS.items() if term in used]


# --- Parts


def _words(expected: Expected) -> Words:
    words = WORDS[expected.metric]
    does = words.does.format(variant=expected.variant)
    if expected.of in THEORY:
        other = THEORY[expected.of]
        return Words(does, other, f"of {other}", words.unit)
    of = expected.of or ""
    return Words(does, words.times.format(of=of), words.share.format(of=of), words.unit)


def _is_percent(expected: Expected, measured: float | None = None) -> bool:
    """Tell factors near 1 and below from those that say how many times."""
    if expected.metric in SHARES or expected.of == "ceiling":
        return True
    factors = (expected.low, expected.high, measured)
    known = [factor for factor in factors if factor is not None]
    return expected.of is not None and max(known, default=1) < MANY_TIMES


def _written(expected: Expected, value: float | None, percent: bool) -> str:
    if expected.metric in LIMITS:
        return "–" if value is None else f"{value:,.4g}"
    return figure(value if value is None or not percent else 100 * value)


def _bounds(expected: Expected, percent: bool) -> str:
    """For instance `at least 3`, or `90 to 110 %`."""
    low, high = (_written(expected, bound, percent) for bound in (expected.low, expected.high))
    unit = " %" if percent else ""
    if expected.low is None:
        return f"at most {high}{unit}"
    return f"at least {low}{unit}" if expected.high is None else f"{low} to {high}{unit}"


def _amount(expected: Expected, number: str, percent: bool) -> str:
    words = _words(expected)
    if expected.of is None:
        return f"{number}{words.unit}"
    return f"{number} {words.share}" if percent else f"{number} times {words.times}"


def _case(expected: Expected) -> str:
    """The case, where the comparison has others."""
    case = ""
    if f" with {expected.users} users" in expected.text:
        case += f" with {expected.users:,} users"
    if f" at {expected.round_trip:g} ms" in expected.text:
        case += f" at a distance of {expected.round_trip:g} ms"
    return case


def _found(verdict: Verdict, expected: Expected, percent: bool) -> str:
    words, number = _words(expected), _written(expected, verdict.measured, percent)
    if expected.metric in SHARES:
        if expected.high != 0:
            return f"{number} % of the requests to {expected.variant} failed"
        failed = round((verdict.measured or 0) * (verdict.answers or 0))
        return f"{failed or 'none'} of {verdict.answers} requests to {expected.variant} failed"
    if expected.metric in LIMITS:
        same = verdict.low == verdict.high
        low, high = (_written(expected, value, percent) for value in (verdict.low, verdict.high))
        rounds = f"in {'each of ' if same else ''}{verdict.rounds} rounds"
        return f"{words.does} {high if same else f'{low} to {high}'}{words.unit} {rounds}"
    return f"{words.does} {_amount(expected, number + ' %' if percent else number, percent)}"


def _sureness(verdict: Verdict, expected: Expected, percent: bool) -> str:
    if expected.metric in LIMITS:
        return ""
    if verdict.low is None or verdict.high is None:
        return "any value is possible yet"
    if expected.metric in SHARES and not verdict.measured and verdict.high:
        return f"95 % sure that fewer than 1 in {max(1, floor(1 / verdict.high))} do"
    low, high = (_written(expected, bound, percent) for bound in (verdict.low, verdict.high))
    return f"95 % sure of {low} to {high}" + (" %" if percent else "")
