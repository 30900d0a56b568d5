"""What `manage.py advise` found of somebody's own project: its part of the result file.

The rounds of the candidates stand in the file as those of any comparison: measurements and verdicts
of the comparison ADVICE, whose variants are the candidates' names.
"""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from math import isfinite
from typing import Any, Literal, get_args, get_origin, get_type_hints

ADVICE = "advice"  # the comparison's slug in the result file
NOW, FORMULA = (
    "now",
    "formula",
)  # candidates: what runs today, and what gunicorn's documentation says

Outcome = Literal["better", "same", "unknown"]
Kind = Literal[
    "holds",  # nothing else runs on the event loop meanwhile
    "awaits",  # a task waits there, the loop is free
    "thread",  # a thread of a sync view or of sync_to_async is there, waits or computes
    "query",  # a database query
]


@dataclass(frozen=True)
class Line:
    """A line of code, and how much of a request's time goes by there.

    place: `shop/views.py:31`, relative to the project where it is in there; a template's own.
    calls: what is at work in the end, `time.sleep`; "" where that is the line itself.
    ms, cpu_ms: a request, on average over all of them: in all, and of that CPU time.
    times: a request, on average.
    longest_ms: of one time.
    others: of `holds`: how many other requests were under way then, on average.
    """

    place: str
    code: str
    calls: str
    kind: Kind
    ms: float
    cpu_ms: float
    times: float
    longest_ms: float
    others: float = 0


@dataclass(frozen=True)
class Hop:
    """A change of thread that a request makes.

    by: whose: a middleware's dotted path, `signals`, the view, a function of the project.
    place: where that is defined, or the line that asks for it.
    to: "thread" (sync_to_async) or "loop" (async_to_sync). times: a request, on average of those
    that the probes have looked into, of lone requests all of them.
    """

    by: str
    place: str
    to: Literal["thread", "loop"]
    times: float


@dataclass(frozen=True)
class Profile:
    """What a request of one kind is made of, in one interface's server.

    ask: `GET /orders/`. view: `shop.views.orders`, with its place; "" where Django found none.
    requests: how many were looked at. wall_ms: the median of a lone request, in the server.
    cpu_ms: CPU time of the server's process a request; wait_ms: the rest of wall_ms.
    connections: that a request uses at most; held_ms: from its first query to its end, in which
        nobody else has that connection.
    """

    ask: str
    interface: Literal["wsgi", "asgi"]
    view: str
    place: str
    is_async: bool
    requests: int
    wall_ms: float
    cpu_ms: float
    wait_ms: float
    queries: float
    query_ms: float
    connections: int
    held_ms: float
    hops: tuple[Hop, ...] = ()
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A way to serve that was measured.

    name: an identifier, the variant's in measurements and verdicts. deployment: of ours that it is
    a shape of; "" for what runs today. workers: processes; threads: of each (0: no limit). pool: of
    database connections, of a process; None: no pool. command: to copy, as the reader would run it.
    changes: what its settings need besides, a line each. why: it is worth trying; "" for NOW.
    slots: how many requests it can serve at once by that; None is no limit.
    """

    name: str
    deployment: str
    interface: Literal["wsgi", "asgi"]
    workers: int
    threads: int
    pool: int | None
    command: str
    changes: tuple[str, ...] = ()
    why: str = ""

    @property
    def slots(self) -> int | None:
        return self.workers * self.threads or None


@dataclass(frozen=True)
class Step:
    """So many users at once, of a sweep. cpu: cores that the server used, on average."""

    users: int
    throughput: float
    p50_ms: float
    p99_ms: float
    cpu: float
    db_connections: int
    failed: float  # share, 0..1


@dataclass(frozen=True)
class Sweep:
    """A candidate from one user to saturation.

    knee: the users from which on more of them bring (nearly) no more answers; None: not reached.
    gives_first: what is used up there: "cpu", "threads", "connections", "database", "loop", or "".
    """

    candidate: str
    steps: tuple[Step, ...]
    knee: int | None
    gives_first: str


@dataclass(frozen=True)
class Crossover:
    """Where the answer would change, computed from the profile and not measured.

    over: what changes, all else as measured; now: its value today; at: from where on an event loop
    serves more than the best threads, None: nowhere up to `limit`.
    """

    over: Literal["users", "wait", "distance"]  # users; ms; ms to the database
    now: float
    at: float | None
    limit: float


@dataclass(frozen=True)
class Choice:
    """What to run. factor: of its throughput (of its speed, in an open loop) to that of `base`.

    Where it is the base itself: that of the best of the others, which is no reason to change.

    outcome: "better"; "same": within 5 % of the base, which stays; "unknown": the rounds do not
    tell.
    """

    name: str
    base: str
    outcome: Outcome
    factor: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Advice:
    """All of it. users or rate: the load asked for. asks: `GET /orders/`, with its share 0..1.

    project: the folder's name, folder: its path. settings: the module. versions: python, django,
    and the servers it has. uses: databases and services as the settings say, without passwords.
    served_so: what differs in the measured servers from the project's settings, a sentence each.
    """

    project: str
    folder: str
    settings: str
    versions: Mapping[str, str]
    uses: tuple[str, ...]
    served_so: tuple[str, ...]
    asks: Mapping[str, float]
    users: int
    rate: float | None
    profiles: tuple[Profile, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    sweeps: tuple[Sweep, ...] = ()
    crossovers: tuple[Crossover, ...] = ()
    remarks: tuple[str, ...] = ()  # what could not be looked at or measured, and why
    sync_only: tuple[str, ...] = ()  # middleware that takes sync requests only, with its place
    choices: tuple[Choice, ...] = ()  # the recommendation against NOW, and against FORMULA

    def as_row(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_row(cls, row: Any) -> "Advice":
        """Read what `as_row` gives. Raises any of `result_store.UNREADABLE` if it is none."""
        found = _read(cls, row)
        assert isinstance(found, cls)
        return found


def _read(kind: Any, value: Any) -> Any:
    """Read a value of this type from JSON: a dataclass, a sequence, a mapping, a number, a word.

    TypeError, ValueError or KeyError where it is another; a key that is not known is left out.
    """
    if is_dataclass(kind):
        if not isinstance(value, dict):
            raise TypeError(f"{value!r} is no object")
        hints = get_type_hints(kind)
        names = [one.name for one in fields(kind) if one.name in value or _is_needed(one)]
        make: Any = kind
        return make(**{name: _read(hints[name], value[name]) for name in names})
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        if value not in parts:
            raise ValueError(f"{value!r} is none of {', '.join(map(repr, parts))}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise TypeError(f"{value!r} is no list")
        return tuple(_read(parts[0], one) for one in value)
    if origin is Mapping:
        if not isinstance(value, dict):
            raise TypeError(f"{value!r} is no object")
        return {_read(parts[0], name): _read(parts[1], one) for name, one in value.items()}
    if type(None) in parts:
        (of,) = set(parts) - {type(None)}
        return None if value is None else _read(of, value)
    if kind is float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise TypeError(f"{value!r} is no number")
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


def _is_needed(one: Any) -> bool:
    return one.default is MISSING and one.default_factory is MISSING
