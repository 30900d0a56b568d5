"""Which ways to serve are worth measuring: from what a request is made of, by Little's law.

Symbols as in operational analysis (Lazowska, Zahorjan, Graham and Sevcik, Quantitative System
Performance, 1984): a request waits for Z and computes for C; N users at once get at most
min(N / (Z + C), cores / C) answers a second, X; and X (Z + C) requests are in the server then.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from comparisons.advice import FORMULA, Profile

MARGIN = 1.5  # requests come in bunches: slots for half as many again as there are on average
# What a person would write.
ROUND = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 200)
CPU_BOUND = 0.5  # of a request's time
HELD = 0.5  # of a request's time: who holds the loop for so long serves one request after another
MAX_POOL = 50  # connections of a process


@dataclass(frozen=True)
class Plan:
    """A candidate to be. database: "" as the settings say, "persistent", or "pool" of pool_size."""

    name: str
    deployment: str
    workers: int
    threads: int
    why: str
    database: str = ""
    pool_size: int | None = None

    @property
    def shape(self) -> tuple[object, ...]:
        return self.deployment, self.workers, self.threads, self.database, self.pool_size


@dataclass(frozen=True)
class Mix:
    """A request of the mix, on average: seconds waited, of CPU, with a connection held.

    loop_held: seconds for which it holds an event loop otherwise than by its CPU time.
    """

    wait: float
    cpu: float
    queries: float
    connection: float
    loop_held: float

    @property
    def time(self) -> float:
        return self.wait + self.cpu

    @classmethod
    def of(cls, profiles: Sequence[Profile], shares: Mapping[str, float]) -> "Mix":
        """shares: of each kind of request, 0..1, by its name."""

        def mean(ms_of: Mapping[str, float]) -> float:
            return sum(shares.get(name, 0) * ms / 1000 for name, ms in ms_of.items())

        return cls(
            wait=mean({one.ask: one.wait_ms for one in profiles}),
            cpu=mean({one.ask: one.cpu_ms for one in profiles}),
            queries=1000 * mean({one.ask: one.queries for one in profiles}),
            connection=mean({one.ask: one.held_ms for one in profiles}),
            loop_held=mean({one.ask: held_ms(one) for one in profiles}),
        )


def held_ms(profile: Profile) -> float:
    """Return the ms for which a request waits and holds its event loop meanwhile."""
    return sum(line.ms - line.cpu_ms for line in profile.lines if line.kind == "holds")


@dataclass(frozen=True)
class Load:
    """users: at once, each asks again when answered; or rate: requests a second, in their place."""

    users: int
    rate: float | None = None

    def arrivals(self, mix: Mix, cores: float) -> float:
        """Return the requests/s that are to be served: as many as come, or as the cores allow."""
        most = cores / max(mix.cpu, 1e-6)
        return min(self.rate or self.users / max(mix.time, 1e-6), most)

    def in_server(self, mix: Mix, cores: float) -> float:
        """Return how many requests are in the server then, by Little's law."""
        inside = self.arrivals(mix, cores) * mix.time
        return inside if self.rate else min(inside, self.users)


def plans(
    profiles: Mapping[str, Sequence[Profile]],
    shares: Mapping[str, float],
    deployments: Collection[str],
    load: Load,
    cores: int,
    *,
    keeps_connections: bool,
    can_keep: bool,
    can_pool: bool,
) -> list[Plan]:
    """Return the formula's and two to four others, in the order in which they are thought of.

    profiles: by interface. keeps_connections: by its settings; can_keep, can_pool: whether its
    database has anything of it.
    """
    found: list[Plan] = []
    if "wsgi" in profiles:
        mix = Mix.of(profiles["wsgi"], shares)
        found += _formula_wsgi(deployments, cores)
        found += _threads(mix, deployments, load, cores, can_keep and not keeps_connections)
    elif "asgi-workers" in deployments:
        why = f"gunicorn's documentation: 2 x cores + 1 processes, here {2 * cores + 1}"
        found.append(Plan(FORMULA, "asgi-workers", 2 * cores + 1, 1, why))
    if "asgi" in profiles:
        mix = Mix.of(profiles["asgi"], shares)
        found += _loops(mix, deployments, load, cores, can_pool, "wsgi" in profiles)
    unique: dict[tuple[object, ...], Plan] = {}
    for plan in found:
        unique.setdefault(plan.shape, plan)
    return list(unique.values())


def _formula_wsgi(deployments: Collection[str], cores: int) -> list[Plan]:
    workers = 2 * cores + 1
    why = f"gunicorn's documentation: 2 x cores + 1 processes of one thread, here {workers}"
    if "wsgi-sync" in deployments:
        return [Plan(FORMULA, "wsgi-sync", workers, 1, why)]
    return [Plan(FORMULA, "wsgi-granian", workers, 1, why)]


def _threads(
    mix: Mix, deployments: Collection[str], load: Load, cores: int, may_keep: bool
) -> list[Plan]:
    name = "wsgi-threads" if "wsgi-threads" in deployments else "wsgi-granian"
    workers = processes_for(mix, load, cores)
    threads = threads_for(mix, load, cores, workers)
    why = (
        f"a request waits {1000 * mix.wait:.3g} of its {1000 * mix.time:.3g} ms: by Little's law "
        f"{load.in_server(mix, cores):.3g} are in the server at once, and half as many again when "
        f"they come in bunches; {_processes(workers, mix)}"
    )
    found = [Plan("threads", name, workers, threads, why)]
    if mix.cpu >= CPU_BOUND * mix.time and "wsgi-sync" in deployments:
        why = (
            f"a request computes {1000 * mix.cpu:.3g} of its {1000 * mix.time:.3g} ms, and a "
            "process computes on one core (the GIL): a process for each core"
        )
        found.append(Plan("processes", "wsgi-sync", cores, 1, why))
    elif workers < cores:
        why = f"the same threads over {cores} processes: a core for each, more memory"
        each = rounded_up(workers * threads / cores)
        found.append(Plan("threads_per_core", name, cores, each, why))
    if may_keep and mix.queries:
        why = (
            f"the same, and each thread keeps its connection: a request makes {mix.queries:.3g} "
            "queries, and connects for them each time as the settings are"
        )
        found.append(Plan("threads_kept", name, workers, threads, why, database="persistent"))
    return found


def _loops(
    mix: Mix,
    deployments: Collection[str],
    load: Load,
    cores: int,
    can_pool: bool,
    has_others: bool,
) -> list[Plan]:
    server = next((name for name in ("asgi-workers", "asgi-granian") if name in deployments), "")
    if not server or (has_others and mix.loop_held > HELD * mix.time):
        return []  # one request after another, as its profile shows
    workers = processes_for(mix, load, cores)
    why = (
        f"on an event loop a request takes no slot while it waits ({1000 * mix.wait:.3g} of "
        f"{1000 * mix.time:.3g} ms); {_processes(workers, mix)}"
    )
    found = [Plan("loop" if workers == 1 else "loops", server, workers, 1, why)]
    if workers < cores:
        why = f"an event loop for each of {cores} cores"
        found.append(Plan("loops", server, cores, 1, why))
    if can_pool and mix.queries:
        size = pool_for(mix, load, cores, workers)
        why = (
            f"the same with a pool: {load.arrivals(mix, cores):.3g} requests a second hold a "
            f"connection for {1000 * mix.connection:.3g} ms each, and half as many again are for "
            f"bunches: {size} of each process"
        )
        found.append(Plan("loop_pool", server, workers, 1, why, database="pool", pool_size=size))
    return found


def processes_for(mix: Mix, load: Load, cores: int) -> int:
    """Return how many cores the load keeps busy: each takes a process, for the GIL."""
    demand = (load.rate or load.users / max(mix.time, 1e-6)) * mix.cpu
    return max(1, min(cores, ceil(demand)))


def threads_for(mix: Mix, load: Load, cores: int, workers: int) -> int:
    """Return the threads of each process, that all requests in the server have one."""
    slots = MARGIN * load.in_server(mix, cores)
    if not load.rate:
        slots = min(slots, load.users)  # more than there are users are never in it
    return rounded_up(slots / workers)


def pool_for(mix: Mix, load: Load, cores: int, workers: int) -> int:
    """Return the connections of each process: arrivals x the time each is held, and a margin."""
    held = load.arrivals(mix, cores) * mix.connection
    return max(2, min(MAX_POOL, ceil(MARGIN * held / workers)))


def rounded_up(number: float) -> int:
    """Return what a person would write, and no less than asked; the most is 200."""
    return next((one for one in ROUND if one >= number), ROUND[-1])


def _processes(workers: int, mix: Mix) -> str:
    each = 1000 * mix.cpu
    if workers == 1:
        return f"{each:.3g} ms of CPU a request keep one process busy at most"
    return f"{each:.3g} ms of CPU a request keep {workers} processes busy, a core each"
