"""What a comparison is. The comparisons themselves are the modules of `comparisons.pairs`."""

import ast
import inspect
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from math import isfinite
from typing import Any, Literal, get_args

from django.conf import settings
from django.http import HttpResponseBase
from django.utils.translation import gettext as _

from comparisons.declarations import DeclarationError, nearest, written_at

# Sync or async: what Django's `path` takes.
View = Callable[..., HttpResponseBase] | Callable[..., Coroutine[Any, Any, HttpResponseBase]]

Metric = Literal[
    "throughput",  # answers a second
    "latency",  # ms, the median
    "latency_p99",  # ms
    "first_byte",  # ms until the first byte of the body, the median
    "bystander",  # ms, the median
    "bystander_max",  # ms, the longest of a round
    "cpu_per_request",  # CPU ms of the whole server, for an answer or for a request that waits
    "busiest_worker",  # CPU time of the busiest process that serves, in those of the average one
    "memory",  # MB that the server grew to above its idle size
    "threads",  # of the whole server, at most
    "connections",  # to Postgres, of the whole server, at most
    "queries",  # of them that run a query at once, at most
    "transactions",  # of them that have a transaction open at once, at most
    "upstream_calls",  # of the server, that the upstream is busy with at once, at most
    "pool_wait",  # ms that a request for a connection waits in its pool, on average
    "failures",  # the share of answers that failed, 0 to 1
    "failed",  # how many of a whole round failed
    "backlog_growth",  # requests a second by which those without an answer become more (open loop)
]
# What theory alone gives, as the other side of a ratio: the variant's own wait (for metrics in ms),
# its ceiling (for throughput), the measured duration of the comparison's CPU work (for ms), or what
# a queue for the CPU leaves at worst (for throughput; see `queued`).
THEORY = ("wait", "ceiling", "work", "queue")
IN_MS = (
    *("latency", "latency_p99", "first_byte", "bystander", "bystander_max"),
    *("cpu_per_request", "pool_wait"),
)
MAX_USERS, MAX_ROUND_TRIP_MS, MAX_RATE, MAX_BODY_MB = 10_000, 1_000, 10_000, 100
MAX_WAITING_USERS = 50_000  # who send a request each, which only waits
# Three kinds of quantity, three kinds of interval. Rates and times are all the others.
SHARES = ("failures",)
LIMITS = (
    *("threads", "connections", "queries", "transactions", "upstream_calls", "failed"),
    "busiest_worker",  # chance deals anew in every round: what is sure is sure of each
)
# Bounds that the machine decides, as Cost and `slack` say.
# at_least, of the ceiling or the queue: nothing else than the wait (and the CPU) limits it
NEAR: Literal["near"] = "near"
SAME: Literal["same"] = "same"  # between, of another variant: no difference that a cost can explain
# A bound may depend on the load: a function of the number of users.
Bound = float | Callable[[int], float]
# The busiest core is at most two thirds busy where waiting is the question; what takes c alone
# takes c / (1 - 2/3) behind others (M/M/1).
STRETCH = 3


def _place() -> Any:
    """A field: `file:line` of the declaration, which a `replace`d one keeps."""
    return field(default_factory=written_at, kw_only=True, repr=False, compare=False)


@dataclass(frozen=True)
class Cost:
    """What a request takes besides its wait or its work, measured on this machine when idle.

    latency_ms: by which a lone request's latency is above its wait: Django, client, network.
    cpu_ms: CPU time of the server for a request that does nothing.
    """

    latency_ms: float
    cpu_ms: float


@dataclass(frozen=True)
class Client:
    """How users ask, where that is not a GET whose answer they wait for.

    method: GET or POST. body_mb: MB (10**6 bytes) that they post; upload_s: seconds that they take
    for it, evenly. leaves_after: seconds after which they close the connection, and ask again on
    another: a request that was left has neither succeeded nor failed.
    """

    method: Literal["GET", "POST"] = "GET"
    body_mb: float = 0
    upload_s: float = 0
    leaves_after: float | None = None
    place: str = _place()

    def __post_init__(self) -> None:
        for problem in _problems_of_client(self):
            raise DeclarationError(self.place, problem)


@dataclass(frozen=True)
class Variant:
    """One view of a comparison, and the deployment it is measured on.

    wait: the least time a request waits, in seconds, on any server.
    slots: how many requests can wait at once in one process, where that is not what the interface
        says: the threads under WSGI, no limit on an event loop. A view that blocks its loop has 1.
    cpu: whether the comparison's CPU work limits the throughput (one core a process: the GIL).
    may_fail: a failed answer is counted (metric failures); else it makes its round invalid.
    name: where one view is measured in several ways; otherwise the view's own.
    workers, threads, database: another shape than the deployment's own.
    app: what the deployment serves in place of Django ("module:application"); it answers all paths
        that a server is asked for, and says in X-Deployment who it is.
    environ: what else the server finds in its environment; `{row}` in a value becomes a number of
        the server's own, for what servers that run side by side cannot share.
    client: how it is asked, where that is not by a GET.
    """

    view: View
    deployment: str
    wait: float | None = None
    slots: int | None = None
    cpu: bool = False
    pitfall: bool = False
    may_fail: bool = False
    name: str = ""
    workers: int | None = None
    threads: int | None = None
    database: str | None = None
    app: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    client: Client | None = None
    place: str = _place()

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or getattr(self.view, "__name__", ""))
        for problem in _problems_of_variant(self):
            raise DeclarationError(self.place, problem)

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.view)


@dataclass(frozen=True)
class Expectation:
    """A claim made checkable: a metric of one variant divided by that of another, or by theory.

    variant: a view, or the name of a variant; or several, in a tuple, of each of which the same is
    expected (the comparison makes an expectation of each). of: a view, a name, or a word of THEORY;
    None expects a value and no ratio. Exactly one of at_least, at_most and between is given: a
    number, or a function users -> number; at_least=NEAR and between=SAME leave it to `slack`. Of
    failures, at_most=0 is "none": what holds then is that none of enough answers failed. users,
    round_trip: the case it speaks of, where a comparison has more than one, or where the claim is
    not true of any number of users. why: where the bound comes from, in a sentence or two.
    """

    variant: Any  # a view or a name, kept as the name; or a tuple of them
    metric: Metric
    of: Any = None  # likewise
    at_least: Bound | Literal["near"] | None = None
    at_most: Bound | None = None
    between: tuple[Bound, Bound] | Literal["same"] | None = None
    users: int | None = None
    round_trip: float | None = None
    why: str = ""
    place: str = _place()

    def __post_init__(self) -> None:
        for side in ("variant", "of"):
            object.__setattr__(self, side, _name(getattr(self, side)))
        for problem in _problems_of_expectation(self):
            raise DeclarationError(self.place, problem)

    @property
    def sides(self) -> tuple[str, str | None]:
        """What it compares: the names of two variants, or of one and what theory gives."""
        return self.variant, self.of

    @property
    def takes_slack(self) -> bool:
        return self.at_least == NEAR or self.between == SAME

    def bounds(self, users: int, slack: float = 0) -> tuple[float | None, float | None]:
        """The lowest and the highest value that agree with the claim; None is no limit.

        slack: of the variant, as the function of that name gives it.
        """
        if self.at_least == NEAR:
            return 1 / (1 + slack), None
        if self.between == SAME:
            return 1 / (1 + slack), 1 + slack
        low, high = self.between or (self.at_least, self.at_most)
        return _at(low, users), _at(high, users)

    def text(self, users: int, one_of_several: bool = True) -> str:
        """For instance `async_native throughput of async_blocking at least 5`.

        It names the expectation in the result file, and so is the same on every machine. It names
        the case only where that is one of several.
        """
        if self.takes_slack:
            bound = "near" if self.at_least else "the same"
        else:
            low, high = self.bounds(users)
            if low is not None and high is not None:
                bound = f"between {low:.4g} and {high:.4g}"
            else:
                bound = f"at least {low:.4g}" if low is not None else f"at most {high:.4g}"
        of = f" of {self.of}" if self.of else ""
        case = ""
        if one_of_several and self.users is not None:
            case += f" with {self.users} users"
        if one_of_several and self.round_trip is not None:
            case += f" at {self.round_trip:g} ms"
        return f"{self.variant} {self.metric}{of} {bound}{case}"


def _name(side: Any) -> Any:
    if isinstance(side, tuple):
        return tuple(map(_name, side))
    return getattr(side, "__name__", side)


def _at(bound: Any, users: int) -> float | None:
    value: float | None = bound(users) if callable(bound) else bound
    return value


def slack(variant: Variant, cost: Cost, work_s: float | None, of: str | None = None) -> float:
    """Return the share of a request's wait, or of its work, that it may take besides.

    By so much a throughput may be below what theory gives (`of`), and two variants of the same work
    may differ. A wait leaves the cores free, so the whole cost counts, behind the others' (STRETCH;
    a queue's formula has them already). Work competes for the same core, so CPU time counts: two
    requests differ by one's at most.
    """
    if variant.wait is not None:
        stretch = 1 if of == "queue" else STRETCH
        return stretch * cost.latency_ms / (1000 * variant.wait)
    assert work_s
    return cost.cpu_ms / (1000 * work_s)


@dataclass(frozen=True)
class Comparison:
    """One question: its variants, the load they are measured under, and what theory expects.

    users: concurrent users, each of whom sends the next request as soon as the last is answered.
    rate: requests a second, answered or not, in their place (an open loop).
    raw: users have a socket each and prepared bytes to send, as fast as they are answered: where
        requests are so cheap that locust's own client would be the limit (loadtests/raw.py).
    waiting: users -> seconds, where instead each of them sends one request, all at once, and it
        waits for so long (`?seconds=`): what is measured is that they wait.
    work: the CPU-bound part of a request alone; timed in every round where given.
    round_trip: ms to Postgres, Valkey and the upstream; 0 is this machine.
    connections_end: when a window opens, Postgres ends the idle connections of its server, as when
        it restarts. (What is under way then fails whatever one does.)
    Of users and round_trip there may be several; every variant is measured in each case.
    """

    users: int | tuple[int, ...] | None = None
    variants: Sequence[Variant] = ()
    expectations: Sequence[Expectation] = ()
    rate: float | None = None
    work: Callable[[], Any] | None = None
    round_trip: float | tuple[float, ...] = 0
    waiting: Callable[[int], float] | None = None
    raw: bool = False
    connections_end: bool = False
    place: str = _place()

    def __post_init__(self) -> None:
        object.__setattr__(self, "expectations", _of_one_variant_each(self.expectations))
        for place, problem in _problems_of_comparison(self):
            raise DeclarationError(place, problem)

    @property
    def module(self) -> Any:
        """The pair's file, which has all its views but those of another application."""
        views = [variant.view for variant in self.variants if not variant.app]
        return sys.modules[views[0].__module__]

    @property
    def slug(self) -> str:
        return str(self.module.__name__).rpartition(".")[2].replace("_", "-")

    @property
    def title(self) -> str:
        return docstring(self.module).partition("\n")[0].rstrip(".")

    @property
    def cases(self) -> list[tuple[int, float]]:
        """Every (users, round_trip) that the variants are measured in; of an open loop (1, ...)."""
        users = self.users if isinstance(self.users, tuple) else (self.users or 1,)
        trips = self.round_trip if isinstance(self.round_trip, tuple) else (self.round_trip,)
        return [(count, trip) for count in users for trip in trips]

    def case(self, expectation: Expectation) -> tuple[int, float]:
        """The case that the expectation speaks of; the first where it does not say."""
        return next(
            (users, trip)
            for users, trip in self.cases
            if expectation.users in (None, users) and expectation.round_trip in (None, trip)
        )

    @property
    def met_under(self) -> str:
        """Who meets its pitfalls: `ASGI (asgi-uvicorn)`; "" where it has none."""
        places: dict[str, list[str]] = {}
        for name in dict.fromkeys(v.deployment for v in self.variants if v.pitfall):
            places.setdefault(settings.DEPLOYMENTS[name].interface.upper(), []).append(name)
        met = [f"{kind} ({', '.join(names)})" for kind, names in places.items()]
        if len(met) < 2:
            return "".join(met)
        one, other = met
        return _("%(one)s and %(other)s") % {"one": one, "other": other}

    def lesson(self) -> dict[str, str]:
        """The labelled paragraphs of the module's docstring: Claim, Blocks, Instead."""
        lesson: dict[str, str] = {}
        for line in docstring(self.module).splitlines()[1:]:
            label, colon, text = line.partition(": ")
            if colon and label.istitle() and label.isalpha():
                lesson[label] = text
            elif lesson and line:
                lesson[next(reversed(lesson))] += f" {line.strip()}"
        return lesson


def _of_one_variant_each(expectations: Any) -> Any:
    """Return the expectations, with one for each variant where one speaks of several."""
    if not isinstance(expectations, list | tuple):
        return expectations  # refused below, as what is none among them
    found: list[Any] = []
    for expectation in expectations:
        several = getattr(expectation, "variant", None)
        if isinstance(several, tuple):
            found += [replace(expectation, variant=variant) for variant in several]
        else:
            found.append(expectation)
    return found


@cache
def docstring(module: Any) -> str:
    """Return the module's; from its source where PYTHONOPTIMIZE=2 dropped it."""
    found = inspect.getdoc(module) or ast.get_docstring(ast.parse(inspect.getsource(module)))
    return found or ""


def ceiling(
    variant: Variant,
    interface: Literal["wsgi", "asgi"],
    *,
    users: int,
    processes: int,
    threads: int,
    cores: int,
    work: float | None = None,
) -> float | None:
    """Return the requests/s that the work itself allows; None where nothing is known beforehand.

    For a wait, Little's law: min(users, slots) / wait. For CPU work of `work` seconds under the
    GIL, one core a process: min(processes, cores, users) / work.
    """
    if variant.cpu and work:
        return min(processes, cores, users) / work
    if variant.wait is None:
        return None
    if variant.slots is not None:
        slots = variant.slots * processes
    else:
        slots = processes * (threads or users) if interface == "wsgi" else users
    return min(users, slots) / variant.wait


def queued(users: int, wait: float, cpu: float) -> float:
    """Return the requests/s that are served at least where only the CPU is shared.

    Each request waits (`wait` seconds), and at worst comes last of all users in turn for one core,
    which each takes for `cpu` seconds: the pessimistic bound of operational analysis (Lazowska,
    Zahorjan, Graham and Sevcik, Quantitative System Performance, 1984, chapter 5). Who serves less
    is short of something else: slots, connections, locks.
    """
    return users / (wait + users * cpu)


# --- What is refused


def _problems_of_variant(variant: Variant) -> Iterator[str]:
    if not inspect.isfunction(variant.view):
        yield f"a variant's view is a function, not {variant.view!r}"
    try:
        if not variant.app:
            inspect.signature(variant.view).bind("request")
    except TypeError:
        yield f"{variant.view.__name__}() cannot be called with the request alone"
    if not (variant.name.isidentifier() and variant.name.isascii()):
        yield f"the name {variant.name!r} has other characters than letters, digits and _"
    if variant.wait is not None and not _is_number(variant.wait, above=0):
        yield f"wait is {variant.wait!r}; it is a number of seconds above 0"
    for name in ("slots", "workers", "threads"):
        if (count := getattr(variant, name)) is not None and not _is_count(count):
            yield f"{name} is {count!r}; it is a whole number from 1 on"
    for name in ("cpu", "pitfall", "may_fail"):
        if not isinstance(value := getattr(variant, name), bool):
            yield f"{name} is {value!r}; it is True or False"
    if variant.database is not None and variant.database not in settings.DATABASE_MODES:
        yield f"there is no database mode {variant.database!r}" + nearest(
            variant.database, settings.DATABASE_MODES
        )
    if not isinstance(variant.environ, Mapping):
        yield f"environ is {variant.environ!r}; it is a dict"
    if variant.client is not None and not isinstance(variant.client, Client):
        yield f"client is {variant.client!r}; it is Client(...)"
    if variant.app is not None and not _is_application(variant.app):
        yield f'app is {variant.app!r}; it is "module:application"'
    for name, value in variant.environ.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            yield f"environ has {name!r}: {value!r}; both are strings"


def _problems_of_client(client: Client) -> Iterator[str]:
    if client.method not in ("GET", "POST"):
        yield f"method is {client.method!r}; it is GET or POST"
    if not _is_number(client.body_mb) or not 0 <= client.body_mb <= MAX_BODY_MB:
        yield f"body_mb is {client.body_mb!r}; it is a number of MB from 0 to {MAX_BODY_MB}"
    if client.body_mb and client.method == "GET":
        yield "a body is posted: it takes method='POST'"
    if not _is_number(client.upload_s) or client.upload_s < 0:
        yield f"upload_s is {client.upload_s!r}; it is a number of seconds from 0 on"
    if client.upload_s and not client.body_mb:
        yield "who takes upload_s has something to send: it takes body_mb=..."
    if client.leaves_after is not None and not _is_number(client.leaves_after, above=0):
        yield f"leaves_after is {client.leaves_after!r}; it is a number of seconds above 0"


def _problems_of_expectation(expectation: Expectation) -> Iterator[str]:
    variant, of = expectation.variant, expectation.of
    variants = variant if isinstance(variant, tuple) else (variant,)
    for side in variants if of is None else (*variants, of):
        if not isinstance(side, str):
            yield f"an expectation speaks of a view, or of a variant by its name, not of {side!r}"
    if not variants:
        yield "it speaks of no variant"
    if expectation.metric not in (metrics := get_args(Metric)):
        yield f"there is no metric {expectation.metric!r}" + nearest(expectation.metric, metrics)
    bounds = {name: getattr(expectation, name) for name in ("at_least", "at_most", "between")}
    given = [name for name, bound in bounds.items() if bound is not None]
    if len(given) != 1:
        yield f"it has {' and '.join(given) or 'no bound'}: give one of {', '.join(bounds)}"
    between: Any = expectation.between
    if between is not None and not (isinstance(between, Sequence) and len(between) == 2):
        if between != SAME:
            yield f"between is {between!r}; it is a pair, the lowest and the highest, or SAME"
    elif not expectation.takes_slack:
        for bound in between or (expectation.at_least, expectation.at_most):
            if bound is not None and not callable(bound) and not _is_number(bound):
                yield f"the bound {bound!r} is no number, and no function of the number of users"
    if expectation.at_least == NEAR and of not in ("ceiling", "queue"):
        yield "NEAR is near to what theory serves: it takes of='ceiling' or of='queue'"
    if expectation.between == SAME and of in (None, *THEORY):
        yield "SAME compares two variants: it takes of=..."
    if not isinstance(expectation.why, str) or not expectation.why.strip():
        yield "it says no reason for its bound: why='...'"
    if of is not None and expectation.metric in (*SHARES, *LIMITS):
        yield f"{expectation.metric} is expected as a value, and not of anything"
    if expectation.users is not None:
        yield from _problems_of_users(expectation.users)
    if expectation.round_trip is not None:
        yield from _problems_of_round_trip(expectation.round_trip)
    served = ("throughput",)
    units = {"wait": IN_MS, "work": IN_MS, "ceiling": served, "queue": served}
    unit = units.get(expectation.of)
    if unit and expectation.metric not in unit:
        yield f"{expectation.of} is compared with {', '.join(unit)}, not {expectation.metric}"
    if expectation.variant == expectation.of:
        yield f"it compares {expectation.variant!r} with itself"


def most_users(comparison: Comparison) -> int:
    """Return how many users a case of the comparison may have."""
    return MAX_WAITING_USERS if comparison.waiting else MAX_USERS


def _problems_of_users(users: Any, most: int = MAX_WAITING_USERS) -> Iterator[str]:
    if not _is_count(users) or users > most:
        yield f"users is {users!r}; it is a whole number from 1 to {most:,}"


def _problems_of_round_trip(round_trip: Any) -> Iterator[str]:
    if not _is_number(round_trip) or not 0 <= round_trip <= MAX_ROUND_TRIP_MS:
        yield f"round_trip is {round_trip!r}; it is a number of ms from 0 to {MAX_ROUND_TRIP_MS:,}"


def _problems_of_comparison(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Yield (place, problem): what is wrong with it, and with what its parts say of each other."""
    here = comparison.place
    for name, kind in (("variants", Variant), ("expectations", Expectation)):
        parts = getattr(comparison, name)
        if not isinstance(parts, list | tuple):
            yield here, f"{name} is {parts!r}; it is a list"
        for part in parts:
            if not isinstance(part, kind):
                yield here, f"{name} has {part!r}, which is no {kind.__name__}"
    if all(variant.app for variant in comparison.variants):
        yield here, "it has no variants" + " of Django's" * bool(comparison.variants)
    for problems_of in (_problems_of_load, _problems_of_functions):
        for problem in problems_of(comparison):
            yield here, problem
    for place, variant in enumerate(comparison.variants):
        for problem in _problems_among(variant, comparison.variants[:place]):
            yield variant.place, problem
    for expectation in comparison.expectations:
        for problem in _problems_within(expectation, comparison):
            yield expectation.place, problem


def _problems_of_load(comparison: Comparison) -> Iterator[str]:
    if comparison.users is None and comparison.rate is None:
        yield "it says no load: users=..., or rate=..."
    if comparison.rate is not None:
        if not _is_number(comparison.rate, above=0) or comparison.rate > MAX_RATE:
            yield f"rate is {comparison.rate!r}; it is requests a second, to {MAX_RATE:,}"
        if comparison.users is not None or comparison.raw or comparison.waiting:
            yield "an open loop has a rate=, and no users"
        if any(variant.client and variant.client.leaves_after for variant in comparison.variants):
            yield "who leaves comes again: it takes users=, and no rate="
    for name, problems_of in (
        ("users", partial(_problems_of_users, most=most_users(comparison))),
        ("round_trip", _problems_of_round_trip),
    ):
        value = getattr(comparison, name)
        if name == "users" and value is None:
            continue
        cases = value if isinstance(value, tuple) else (value,)
        if not cases:
            yield f"{name} has no case"
        for case in cases:
            yield from problems_of(case)
        if again := [case for case, count in Counter(cases).items() if count > 1]:
            yield f"{name} has {again[0]!r} twice"
    for name in ("raw", "connections_end"):
        if not isinstance(value := getattr(comparison, name), bool):
            yield f"{name} is {value!r}; it is True or False"
    if comparison.raw and comparison.waiting:
        yield "raw users ask as fast as they are answered: with waiting=, each asks once"
    if any(variant.client for variant in comparison.variants):
        if comparison.raw:
            yield "raw users send a GET and wait: they have no client=..."
        if comparison.waiting:
            yield "with waiting=, users send a GET and wait: they have no client=..."


def _problems_of_functions(comparison: Comparison) -> Iterator[str]:
    for name in ("work", "waiting"):
        if (function := getattr(comparison, name)) is not None and not callable(function):
            yield f"{name} is {function!r}; it is a function"
    for users, _trip in comparison.cases if comparison.waiting else ():
        if comparison.waiting and not _is_number(wait := comparison.waiting(users), above=0):
            yield f"waiting({users}) is {wait!r}; it is a number of seconds above 0"


def _problems_among(variant: Variant, before: Iterable[Variant]) -> Iterator[str]:
    """Yield what is wrong with a variant beside those above it."""
    for other in before:
        if other.name == variant.name:
            yield f"there are two variants {variant.name!r}; give one of them another name="
        if not (variant.app or other.app) and other.view.__module__ != variant.view.__module__:
            yield (
                f"{variant.view.__name__} is a view of {variant.view.__module__}, and "
                f"{other.view.__name__} one of {other.view.__module__}: a comparison is one module"
            )
    colour, other_colour = ("async", "sync") if variant.is_async else ("sync", "async")
    if variant.name.split("_")[0] == other_colour:
        yield f"{variant.name!r} has a view that is {colour}: its name says {other_colour}"
    if variant.deployment not in settings.DEPLOYMENTS:
        yield f"there is no deployment {variant.deployment!r}" + nearest(
            variant.deployment, settings.DEPLOYMENTS
        )
    try:
        settings.DEPLOYMENTS[variant.deployment].shaped(
            variant.workers, variant.threads, variant.database, variant.app
        )
    except ValueError as error:
        yield f"{variant.name} cannot have this shape: {error}"


def _problems_within(expectation: Expectation, comparison: Comparison) -> Iterator[str]:
    variants = {variant.name: variant for variant in comparison.variants}
    if expectation.variant not in variants:
        yield f"there is no variant {expectation.variant!r}" + nearest(
            expectation.variant, variants
        )
    if expectation.of not in (*variants, *THEORY, None):
        yield f"there is no variant {expectation.of!r}, nor does theory give it" + nearest(
            expectation.of, [*variants, *THEORY]
        )
    variant = variants[expectation.variant]
    waits, works = variant.wait is not None, comparison.work is not None
    given = {
        "wait": waits or comparison.waiting is not None,
        "ceiling": waits or (variant.cpu and works),
        "work": works,
        "queue": waits and comparison.rate is None,
    }
    takes = {
        "wait": "wait=...",
        "ceiling": "wait=..., or cpu=True and the comparison's work=...",
        "work": "the comparison's work=...",
        "queue": "wait=..., and the comparison's users=...",
    }
    if not given.get(expectation.of, True):
        yield f"{variant.name} declares no {expectation.of}: it takes {takes[expectation.of]}"
    if expectation.takes_slack and not waits and not works:
        yield f"what is near, or the same, takes {variant.name}'s wait=..., or work=..."
    if expectation.metric in ("failures", "failed") and not variant.may_fail:
        yield f"{variant.name} counts with failures only if it says may_fail=True"
    if expectation.metric.startswith("bystander") and comparison.raw:
        yield "no bystander stands beside raw users"
    if expectation.metric == "first_byte" and comparison.raw:
        yield "raw users do not look when the first byte comes"
    if expectation.metric == "backlog_growth" and comparison.rate is None:
        yield "a backlog grows in an open loop only: it takes the comparison's rate=..."
    if expectation.metric == "throughput" and comparison.waiting:
        yield "requests that only wait have no throughput"
    for place, name in enumerate(("users", "round_trip")):
        cases = {case[place] for case in comparison.cases}
        if (asked := getattr(expectation, name)) is not None and asked not in cases:
            yield f"{name}={asked} is no case of the comparison" + nearest(
                asked, [str(case) for case in cases]
            )
    yield from _problems_of_bounds(expectation, comparison.case(expectation)[0])


def _problems_of_bounds(expectation: Expectation, users: int) -> Iterator[str]:
    try:
        low, high = expectation.bounds(users)
    except Exception as error:
        yield f"its bound for {users} users fails: {type(error).__name__}: {error}"
        return
    for bound in (low, high):
        if bound is not None and not _is_number(bound):
            yield f"its bound for {users} users is {bound!r}, and no number"
    if low is not None and high is not None and low > high:
        yield f"it lies between {low:.4g} and {high:.4g}: nothing does"


def _is_application(value: Any) -> bool:
    module, _, name = value.partition(":") if isinstance(value, str) else ("", "", "")
    return name.isidentifier() and all(part.isidentifier() for part in module.split("."))


def _is_number(value: Any, *, above: float | None = None) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    return is_number and (above is None or value > above)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
