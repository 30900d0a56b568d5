"""What `advise` has found, as sentences: the same in terminal, page and report."""

from collections.abc import Iterable, Iterator, Sequence

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as marked
from django.utils.translation import ngettext

from comparisons.advice import (
    FORMULA,
    NOW,
    Advice,
    Candidate,
    Choice,
    Crossover,
    Hop,
    Line,
    Profile,
    Sweep,
)
from comparisons.result import Verdict, figure, interval, percentage
from comparisons.sentences import MANY_TIMES

SERVED_BY = {"wsgi": marked("in a thread (WSGI)"), "asgi": marked("on an event loop (ASGI)")}
# What its comparison is called (loadtests.advising.advice), in a result file in English.
TITLE = marked("The reader's own requests, each way to serve them")
GIVES_FIRST = {
    "cpu": marked("the CPU is busy: a process computes on one core"),
    "threads": marked("its threads are all busy, and the CPU is not"),
    "connections": marked("the pool has no connection left"),
    "database": marked("most of a request's time is the database's"),
    "loop": marked("its event loop is held: one request after another"),
    "": marked("nothing that was looked at stands out"),
}


def load(advice: Advice) -> str:
    """The load that was asked for."""
    if advice.rate:
        return _("%(rate)s requests a second") % {"rate": figure(advice.rate)}
    return ngettext("%(users)s user at once", "%(users)s users at once", advice.users) % {
        "users": advice.users
    }


def recommended(advice: Advice) -> Candidate | None:
    """The candidate that was chosen; None where nothing could be measured."""
    names = {choice.name for choice in advice.choices}
    return next((one for one in advice.candidates if one.name in names), None)


# --- A request


def of_request(profile: Profile) -> Iterator[str]:
    """What a request spends its time on, in a few sentences."""
    words = {
        "ask": profile.ask,
        "where": _(SERVED_BY[profile.interface]),
        "wall": figure(profile.wall_ms),
        "cpu": figure(profile.cpu_ms),
        "wait": figure(profile.wait_ms),
    }
    yield (
        _("%(ask)s takes %(wall)s ms %(where)s: %(cpu)s ms of CPU, and %(wait)s ms of waiting.")
        % words
    )
    if profile.queries:
        yield ngettext(
            "It makes %(queries)s query, of %(ms)s ms, and holds a connection for %(held)s ms.",
            "It makes %(queries)s queries, of %(ms)s ms together, and holds a connection for"
            " %(held)s ms.",
            round(profile.queries),
        ) % {
            "queries": figure(profile.queries),
            "ms": figure(profile.query_ms),
            "held": figure(profile.held_ms),
        }


def of_line(line: Line) -> str:
    """Say what a line does, with its place before and its code behind."""
    waited = waited_for(line)
    return f"{line.place} {does(line)}: {line.code}" + (f" ({waited})" if waited else "")


def does(line: Line) -> str:
    """Say what it does, for how long."""
    if waits_for_others(line):
        words = {"ms": figure(line.ms), "calls": line.calls}
        return _("waits for other requests, %(ms)s ms a request (%(calls)s)") % words
    computes = line.cpu_ms > line.ms / 2
    said = {
        "holds": _("computes on the event loop for %(ms)s ms a request")
        if computes
        else _("holds the event loop for %(ms)s ms a request"),
        "awaits": _("waits for %(ms)s ms a request, and holds nothing"),
        "query": _("queries for %(ms)s ms a request"),
        "thread": _("computes in a thread for %(ms)s ms a request")
        if computes
        else _("waits in a thread for %(ms)s ms a request"),
    }[line.kind]
    return said % {"ms": figure(line.ms)}


def waited_for(line: Line) -> str:
    """Say who waited while it held the event loop; "" if nobody did."""
    if line.kind != "holds" or line.others < 1:
        return ""
    return _("%(others)s other requests waited, on average") % {"others": figure(line.others)}


def waits_for_others(line: Line) -> bool:
    """Tell whether a request waits there for what another has: a lock, a connection of a pool."""
    return line.kind != "holds" and line.calls.rpartition(".")[2] in ("acquire", "getconn")


def holds(profiles: Iterable[Profile]) -> list[Line]:
    return [line for one in profiles for line in one.lines if line.kind == "holds"]


def of_hops(profile: Profile) -> Iterator[str]:
    """Who makes a request change threads."""
    for said, hops in hops_of(profile):
        yield f"{said} {'; '.join(hops)}"


def hops_of(profile: Profile) -> Iterator[tuple[str, list[str]]]:
    """How often a request goes to a thread, or to an event loop; and for whom, each of them."""
    to_thread = [hop for hop in profile.hops if hop.to == "thread"]
    to_loop = [hop for hop in profile.hops if hop.to == "loop"]
    for hops in filter(None, (to_thread, to_loop)):
        times = sum(hop.times for hop in hops)
        said = (
            ngettext(
                "It goes to a thread and back %(times)s time:",
                "It goes to a thread and back %(times)s times:",
                round(times),
            )
            if hops is to_thread
            else ngettext(
                "It goes to an event loop and back %(times)s time:",
                "It goes to an event loop and back %(times)s times:",
                round(times),
            )
        )
        yield said % {"times": figure(times)}, [*map(of_hop, hops)]


def of_hop(hop: Hop) -> str:
    words = {"times": figure(hop.times), "by": hop.by, "place": hop.place}
    if hop.by == "signals":
        return _("%(times)s for the receivers of signals") % words
    if hop.by == "view" and hop.to == "loop":
        return _("%(times)s for the view, which is async (%(place)s)") % words
    if hop.by == "view":
        return _("%(times)s for the view, which is sync (%(place)s)") % words
    return (_("%(times)s for %(by)s (%(place)s)") if hop.place else _("%(times)s for %(by)s")) % (
        words
    )


def of_middleware(advice: Advice) -> Iterator[str]:
    """What middleware keeps a request from staying on the event loop."""
    for middleware in advice.sync_only:
        yield _(
            "%(middleware)s takes sync requests only: on an event loop it, and all middleware"
            " before it, run in a thread, from where an async view is called back."
        ) % {"middleware": middleware}


# --- Candidates


def name_of(candidate: Candidate | str) -> str:
    name = candidate if isinstance(candidate, str) else candidate.name
    return {NOW: _("what runs now"), FORMULA: _("the formula")}.get(name, name)


def shape_of(candidate: Candidate) -> str:
    """For instance `wsgi-threads, 2 × 12, pool 8`."""
    shape = f"{candidate.workers} × {candidate.threads or '∞'}"
    shape += _(", pool %(size)s") % {"size": candidate.pool} if candidate.pool else ""
    return f"{candidate.deployment}, {shape}" if candidate.deployment else shape


def of_choice(choice: Choice, rate: float | None) -> str:
    """How the recommendation compares with its base."""
    words = {"name": name_of(choice.name), "base": name_of(choice.base)}
    sure = _sureness(choice)
    if choice.name == choice.base:
        if choice.outcome == "same" and choice.name == FORMULA:  # which may not be what runs
            return _("It is the formula of gunicorn's documentation: nothing measured is better.")
        if choice.outcome == "same":
            said = _("%(name)s is as good as any that was measured: nothing needs to change.")
            return said % words
        words["number"] = _number(choice.factor, choice)
        said = _(
            "Nothing is surely better than %(name)s: the best of the others serves %(number)s of it"
        )
        return said % words + sure
    if choice.outcome == "same":
        return _("No difference to %(base)s, within 5 %%") % words + sure
    if choice.outcome == "unknown":
        return (
            _("Whether it is better than %(base)s can't be told from these rounds") % words + sure
        )
    words["number"] = _number(choice.factor, choice)
    if _in_percent(choice):
        said = (
            _("It answers at %(number)s of the speed of %(base)s")
            if rate
            else _("Its throughput is %(number)s of that of %(base)s")
        )
    else:
        said = (
            _("It answers %(number)s times as fast as %(base)s")
            if rate
            else _("It serves %(number)s times as many requests as %(base)s")
        )
    return said % words + sure


def word_of(choice: Choice) -> str:
    """What a choice is, in a word or two."""
    words = {"better": _("better"), "same": _("no difference"), "unknown": _("can't tell")}
    return words[choice.outcome]


def of_ratio(found: Verdict) -> str:
    """What was measured of a candidate in that of the base, with its interval."""
    expected = found.expected
    if expected is None or expected.of is None or found.measured is None:
        return ""
    words = {
        "number": figure(found.measured),
        "base": name_of(expected.of),
        "interval": interval(found.low, found.high),
    }
    if expected.metric == "latency":
        return _("the latency of %(base)s × %(number)s (%(interval)s)") % words
    return _("%(base)s × %(number)s (%(interval)s)") % words


def _sureness(choice: Choice) -> str:
    return _(" (95 %% sure of %(low)s to %(high)s).") % {
        "low": _number(choice.low, choice),
        "high": _number(choice.high, choice),
    }


def _number(factor: float, choice: Choice) -> str:
    return percentage(figure(100 * factor)) if _in_percent(choice) else figure(factor)


def _in_percent(choice: Choice) -> bool:
    return choice.factor < MANY_TIMES


# --- Saturation, and what would change the answer


def of_sweep(sweep: Sweep) -> str:
    """Where more users bring no more, and what is used up there."""
    name = name_of(sweep.candidate)
    most = max(sweep.steps, key=lambda step: step.throughput, default=None)
    if most is None:
        return _("%(name)s could not be swept.") % {"name": name}
    words = {
        "name": name,
        "most": figure(most.throughput),
        "users": most.users,
        "knee": sweep.knee,
        "why": _(GIVES_FIRST.get(sweep.gives_first, GIVES_FIRST[""])),
    }
    if sweep.knee is None and most.users == 1:
        return (
            _("%(name)s was swept with one user only: more are the load generator's limit.") % words
        )
    if sweep.knee is None:
        return (
            _(
                "%(name)s still grows at %(users)s users, where it serves %(most)s requests a"
                " second."
            )
            % words
        )
    return (
        _(
            "%(name)s serves %(most)s requests a second at most; from %(knee)s users on more of"
            " them only wait longer: %(why)s."
        )
        % words
    )


def of_crossover(crossover: Crossover, profiles: Sequence[Profile]) -> str:
    """From where on an event loop would serve more than the threads."""
    words = {
        "at": "" if crossover.at is None else figure(crossover.at),
        "limit": figure(crossover.limit),
        "now": figure(crossover.now),
    }
    if crossover.at is None:
        return {
            "users": _("An event loop serves no more at any number of users up to %(limit)s."),
            "wait": _("An event loop serves no more however long it waits (up to %(limit)s ms)."),
            "distance": _(
                "An event loop serves no more however far the database is (up to %(limit)s ms)."
            ),
        }[crossover.over] % words
    if crossover.at <= crossover.now:
        return {
            "users": _("An event loop serves more from %(at)s users on already."),
            "wait": _("An event loop serves more already, at %(now)s ms of waiting."),
            "distance": _("An event loop serves more already, with the database where it is."),
        }[crossover.over] % words
    said = {
        "users": _("An event loop begins to serve more at %(at)s users (now %(now)s)."),
        "wait": _(
            "An event loop begins to serve more when a request waits for %(at)s ms (now %(now)s)."
        ),
        "distance": _("An event loop begins to serve more with the database %(at)s ms away."),
    }[crossover.over] % words
    return said


def of_sync_views(profiles: Sequence[Profile]) -> str:
    """What a crossover leaves open where the view is sync: "" where it is not."""
    if any(not one.is_async for one in profiles if one.interface == "asgi"):
        return _(
            "Computed, not measured, with what the sync view costs under ASGI: written async it has"
            " fewer hops, and each call that waits has to be awaited."
        )
    return _("Computed from what a request is made of, not measured.")
