"""What was expected and what was found, as sentences: the same in terminal, pages and README.

Each sentence is one phrase with named placeholders, so that another language can order it anew and
need no endings on names; what follows or precedes a whole sentence (a case, a place) wraps it. No
found sentence has parentheses: those hold what was expected, and how sure it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as marked

from comparisons.reasons import reason
from comparisons.registry import LIMITS, SHARES
from comparisons.result import (
    Expected,
    Hold,
    Measurement,
    Verdict,
    figure,
    in_digits,
    interval,
    longest_holds,
    percentage,
)
from comparisons.traces import ms

# What a reader may not know, explained where it is used.
TERMS = {
    marked("ceiling"): marked(
        "what the work allows: min(users, slots) / wait, or cores / CPU time of the work"
    ),
    marked("backlog"): marked(
        "requests that wait for an answer while as many come as ever (open loop)"
    ),
    marked("bystander"): marked(
        "a user who calls a trivial view of the same server meanwhile, 40 times a second"
    ),
    marked("wait"): marked("the least time that a request has to wait, on any server"),
    marked("work"): marked("the CPU time of the work that a request does"),
    marked("queue"): marked(
        "users / (wait + users × CPU time of a request): each waits, then comes last in turn"
    ),
}
MANY_TIMES = 1.5  # from here on a factor is said in times, below it in percent
THEORY = {
    "ceiling": marked("its ceiling"),
    "wait": marked("a request's wait"),
    "work": marked("a request's CPU work"),
    "queue": marked("what a queue for the CPU leaves it"),
}


@dataclass(frozen=True)
class Phrases:
    """How a metric is said, of %(variant)s.

    value: of nothing else, %(number)s in its unit. Of another variant, %(of)s: times, a factor;
    share, a percentage; same, no number. Of what theory gives: theory_times, theory_share.
    """

    value: str
    times: str = ""
    share: str = ""
    same: str = ""
    theory_times: str = ""
    theory_share: str = ""


PHRASES = {
    "throughput": Phrases(
        marked("%(variant)s serves %(number)s requests a second"),
        marked("%(variant)s serves %(number)s times as many requests a second as %(of)s"),
        marked("%(variant)s serves %(number)s of the requests a second of %(of)s"),
        marked("%(variant)s serves as many requests a second as %(of)s"),
        marked("%(variant)s serves %(number)s times %(of)s"),
        marked("%(variant)s serves %(number)s of %(of)s"),
    ),
    "latency": Phrases(
        marked("%(variant)s answers after %(number)s ms"),
        marked("%(variant)s answers after %(number)s times the time of %(of)s"),
        marked("%(variant)s answers after %(number)s of the time of %(of)s"),
        marked("%(variant)s answers after the time of %(of)s"),
        marked("%(variant)s answers after %(number)s times %(of)s"),
        marked("%(variant)s answers after %(number)s of %(of)s"),
    ),
    "latency_p99": Phrases(
        marked("the slowest hundredth of %(variant)s's answers comes after %(number)s ms"),
        marked(
            "the slowest hundredth of %(variant)s's answers comes after"
            " %(number)s times that of %(of)s"
        ),
        marked(
            "the slowest hundredth of %(variant)s's answers comes after"
            " %(number)s of that of %(of)s"
        ),
        marked("the slowest hundredth of %(variant)s's answers comes after that of %(of)s"),
        marked(
            "the slowest hundredth of %(variant)s's answers comes after %(number)s times %(of)s"
        ),
        marked("the slowest hundredth of %(variant)s's answers comes after %(number)s of %(of)s"),
    ),
    "first_byte": Phrases(
        marked("%(variant)s sends its first byte after %(number)s ms"),
        marked("%(variant)s sends its first byte after %(number)s times the time of %(of)s"),
        marked("%(variant)s sends its first byte after %(number)s of the time of %(of)s"),
        marked("%(variant)s sends its first byte after the time of %(of)s"),
        marked("%(variant)s sends its first byte after %(number)s times %(of)s"),
        marked("%(variant)s sends its first byte after %(number)s of %(of)s"),
    ),
    "bystander": Phrases(
        marked("a bystander of %(variant)s waits %(number)s ms"),
        marked("a bystander of %(variant)s waits %(number)s times as long as one of %(of)s"),
        marked("a bystander of %(variant)s waits %(number)s of the time of one of %(of)s"),
        marked("a bystander of %(variant)s waits as long as one of %(of)s"),
        marked("a bystander of %(variant)s waits %(number)s times %(of)s"),
        marked("a bystander of %(variant)s waits %(number)s of %(of)s"),
    ),
    "bystander_max": Phrases(
        marked("the longest wait of a bystander of %(variant)s is %(number)s ms"),
        marked("the longest wait of a bystander of %(variant)s is %(number)s times that of %(of)s"),
        marked("the longest wait of a bystander of %(variant)s is %(number)s of that of %(of)s"),
        marked("the longest wait of a bystander of %(variant)s is that of %(of)s"),
        marked("the longest wait of a bystander of %(variant)s is %(number)s times %(of)s"),
        marked("the longest wait of a bystander of %(variant)s is %(number)s of %(of)s"),
    ),
    "cpu_per_request": Phrases(
        marked("a request to %(variant)s takes %(number)s ms of CPU time"),
        marked("a request to %(variant)s takes %(number)s times the CPU time of one to %(of)s"),
        marked("a request to %(variant)s takes %(number)s of the CPU time of one to %(of)s"),
        marked("a request to %(variant)s takes the CPU time of one to %(of)s"),
        marked("a request to %(variant)s takes %(number)s times %(of)s"),
        marked("a request to %(variant)s takes %(number)s of %(of)s"),
    ),
    "memory": Phrases(
        marked("%(variant)s takes %(number)s MB"),
        marked("%(variant)s takes %(number)s times the memory of %(of)s"),
        marked("%(variant)s takes %(number)s of the memory of %(of)s"),
        marked("%(variant)s takes the memory of %(of)s"),
    ),
    "busiest_worker": Phrases(
        marked(
            "the busiest worker of %(variant)s takes %(number)s times the CPU time"
            " of the average one"
        ),
    ),
    "threads": Phrases(
        marked("%(variant)s's server has %(number)s threads"),
    ),
    "connections": Phrases(
        marked("%(variant)s holds %(number)s connections to Postgres"),
    ),
    "queries": Phrases(
        marked("Postgres runs for %(variant)s %(number)s queries at once"),
    ),
    "transactions": Phrases(
        marked("%(variant)s has open in Postgres %(number)s transactions at once"),
    ),
    "upstream_calls": Phrases(
        marked("%(variant)s keeps the upstream busy with %(number)s calls at once"),
    ),
    "failed": Phrases(
        marked("a round of %(variant)s has %(number)s requests that fail"),
    ),
    "backlog_growth": Phrases(
        marked("%(variant)s's backlog grows by %(number)s requests a second"),
        marked("%(variant)s's backlog grows by %(number)s times as much as that of %(of)s"),
        marked("%(variant)s's backlog grows by %(number)s of that of %(of)s"),
        marked("%(variant)s's backlog grows by as much as that of %(of)s"),
    ),
    "pool_wait": Phrases(
        marked("a request to %(variant)s waits for a connection %(number)s ms"),
        marked("a request to %(variant)s waits for a connection %(number)s times that of %(of)s"),
        marked("a request to %(variant)s waits for a connection %(number)s of that of %(of)s"),
        marked("a request to %(variant)s waits for a connection that of %(of)s"),
        marked("a request to %(variant)s waits for a connection %(number)s times %(of)s"),
        marked("a request to %(variant)s waits for a connection %(number)s of %(of)s"),
    ),
}


def expectation_sentence(expected: Expected) -> str:
    """For instance `async_native serves at least 3 times as many requests a second as sync`."""
    percent = _is_percent(expected)
    if expected.metric in SHARES and expected.high == 0:
        said = _("of the requests to %(variant)s, none fail") % {"variant": expected.variant}
    elif expected.metric in SHARES:
        said = _("of the requests to %(variant)s, %(number)s fail") % {
            "variant": expected.variant,
            "number": _bounds(expected, percent),
        }
    elif expected.low is None and expected.high is None:  # NEAR, SAME: not calibrated yet
        said = _uncalibrated(expected)
    else:
        said = _said(expected, _bounds(expected, percent), percent)
    return _in_case(said, expected)


def sentence(verdict: Verdict) -> str:
    """What was found, what was expected, and how sure it is."""
    expected = verdict.expected
    if expected is None:  # of an older file
        because = reason(verdict.because)
        bounds = interval(verdict.low, verdict.high)
        said = f"{figure(verdict.measured)} ({bounds}; {because})"
        return f"{verdict.expectation}: {because if verdict.measured is None else said}"
    if verdict.outcome == "invalid":
        said = _on(verdict.deployment, expectation_sentence(expected))
        why = reason(verdict.because)
        return _("not measured: %(said)s: %(reason)s") % {"said": said, "reason": why}
    percent = _is_percent(expected, verdict.measured)
    found = _on(verdict.deployment, _in_case(_found(verdict, expected, percent), expected))
    if expected.metric in SHARES and expected.high == 0:
        remarks = [_("none expected")]
    else:
        remarks = [_("%(number)s expected") % {"number": _bounds(expected, percent)}]
    remarks.append(_sureness(verdict, expected, percent))
    if verdict.open_because:
        open_because = reason(verdict.open_because)
        remarks.append(_("to decide it takes %(reason)s") % {"reason": open_because})
    return f"{found} ({'; '.join(remark for remark in remarks if remark)})"


def held_sentences(rows: Sequence[Measurement]) -> list[str]:
    """Say what held event loops: `... for 100 ms a request at blocking_call.py:27, ...`.

    Where variants were measured on several deployments, each says on which.
    """
    several = len({(row.variant, row.deployment) for row in rows}) > len({r.variant for r in rows})
    return [
        _on(row.deployment if several else None, _held(row.variant, hold))
        for row, hold in longest_holds(rows)
    ]


def _held(variant: str, hold: Hold) -> str:
    return _("%(variant)s held the event loop for %(time)s a request at %(place)s, %(code)s") % {
        "variant": variant,
        "time": ms(hold.ms),
        "place": hold.place.rpartition("/")[2],
        "code": hold.statement,
    }


def terms(verdicts: Sequence[Verdict]) -> list[tuple[str, str]]:
    """The terms that these sentences use, each with its meaning."""
    expectations = [verdict.expected for verdict in verdicts if verdict.expected]
    used = {expected.of for expected in expectations}
    used |= {"backlog" for e in expectations if e.metric == "backlog_growth"}
    used |= {"bystander" for e in expectations if e.metric in ("bystander", "bystander_max")}
    return [(_(term), _(meaning)) for term, meaning in TERMS.items() if term in used]


# --- Parts


def _is_percent(expected: Expected, measured: float | None = None) -> bool:
    """Tell factors near 1 and below from those that say how many times."""
    if expected.metric in SHARES or expected.of == "ceiling":
        return True
    factors = (expected.low, expected.high, measured)
    known = [factor for factor in factors if factor is not None]
    return expected.of is not None and max(known, default=1) < MANY_TIMES


def _written(expected: Expected, value: float | None, percent: bool) -> str:
    if value is not None and expected.metric in LIMITS:
        return in_digits(f"{value:,.4g}")
    return figure(value if value is None or not percent else 100 * value)


def _bounds(expected: Expected, percent: bool) -> str:
    """For instance `at least 3`, or `90 to 110 %`."""
    low, high = (_written(expected, bound, percent) for bound in (expected.low, expected.high))
    if expected.low is not None and expected.high is not None:
        return _range(low, high, percent)
    bound = low if expected.high is None else high
    bound = percentage(bound) if percent else bound
    said = _("at least %(bound)s") if expected.high is None else _("at most %(bound)s")
    return said % {"bound": bound}


def _range(low: str, high: str, percent: bool) -> str:
    said = _("%(low)s to %(high)s %%") if percent else _("%(low)s to %(high)s")
    return said % {"low": low, "high": high}


def _in_case(said: str, expected: Expected) -> str:
    """Name the case, where the comparison has others."""
    if f" with {expected.users} users" in expected.text:
        users = in_digits(f"{expected.users:,}")
        said = _("%(said)s with %(users)s users") % {"said": said, "users": users}
    if f" at {expected.round_trip:g} ms" in expected.text:
        distance = in_digits(f"{expected.round_trip:g}")
        said = _("%(said)s at a distance of %(ms)s ms") % {"said": said, "ms": distance}
    return said


def _on(deployment: str | None, said: str) -> str:
    if not deployment:
        return said
    return _("%(said)s on %(deployment)s") % {"said": said, "deployment": deployment}


def _said(expected: Expected, number: str, percent: bool) -> str:
    """The phrase of the metric, with what it is compared with: `... serves 3 times as many ...`."""
    phrases, of = PHRASES[expected.metric], expected.of
    if of is None:
        phrase = phrases.value
    elif of in THEORY:
        of, phrase = _(THEORY[of]), phrases.theory_share if percent else phrases.theory_times
    else:
        phrase = phrases.share if percent else phrases.times
    return _(phrase) % {"variant": expected.variant, "of": of, "number": number}


def _uncalibrated(expected: Expected) -> str:
    """Say a bound that no machine has decided yet: NEAR or SAME."""
    sides = {"variant": expected.variant, "of": expected.of}
    if expected.of in THEORY:
        return _(
            "%(variant)s comes as near to %(of)s as a request's cost on this machine lets it come"
        ) % (sides | {"of": _(THEORY[expected.of])})
    same = _(PHRASES[expected.metric].same) % sides
    return _("%(said)s, but for a request's cost on this machine") % {"said": same}


def _found(verdict: Verdict, expected: Expected, percent: bool) -> str:
    number = _written(expected, verdict.measured, percent)
    if expected.metric in SHARES:
        return _failed(verdict, expected, number)
    if expected.metric in LIMITS:
        low, high = (_written(expected, value, percent) for value in (verdict.low, verdict.high))
        if verdict.low == verdict.high:
            said = _said(expected, high, percent)
            rounds = _("%(said)s in each of %(rounds)s rounds")
        else:
            said = _said(expected, _range(low, high, percent), percent)
            rounds = _("%(said)s in %(rounds)s rounds")
        return rounds % {"said": said, "rounds": verdict.rounds}
    return _said(expected, percentage(number) if percent else number, percent)


def _failed(verdict: Verdict, expected: Expected, number: str) -> str:
    words = {"variant": expected.variant, "answers": verdict.answers}
    if expected.high != 0:
        said = _("%(number)s of the requests to %(variant)s failed")
        return said % (words | {"number": percentage(number)})
    failed = round((verdict.measured or 0) * (verdict.answers or 0))
    if not failed:
        return _("none of %(answers)s requests to %(variant)s failed") % words
    said = _("%(failed)s of %(answers)s requests to %(variant)s failed")
    return said % (words | {"failed": failed})


def _sureness(verdict: Verdict, expected: Expected, percent: bool) -> str:
    if expected.metric in LIMITS:
        return ""
    if verdict.low is None or verdict.high is None:
        return _("any value is possible yet")
    if expected.metric in SHARES and not verdict.measured and verdict.high:
        one_in = max(1, floor(1 / verdict.high))
        return _("95 %% sure that fewer than 1 in %(count)s do") % {"count": one_in}
    low, high = (_written(expected, bound, percent) for bound in (verdict.low, verdict.high))
    return _("95 %% sure of %(range)s") % {"range": _range(low, high, percent)}
