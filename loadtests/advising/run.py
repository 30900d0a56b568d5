"""A run of `advise`, step by step: each adds to the result what it has found."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Generator as Iteration
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from statistics import median

from comparisons.advice import (
    FORMULA,
    NOW,
    Advice,
    Candidate,
    Crossover,
    Profile,
    Step,
    Sweep,
)
from comparisons.cores import CORES
from comparisons.registry import Comparison
from loadtests.advising import candidates as thinking
from loadtests.advising.advice import comparison_of, row_of
from loadtests.advising.candidates import Load, Mix, Plan
from loadtests.advising.checking import check
from loadtests.advising.choosing import choose
from loadtests.advising.crossover import crossovers
from loadtests.advising.deployments import SubjectDeployment, deployments_of, version_of
from loadtests.advising.knee import gives_first, knee
from loadtests.advising.probing import profiles
from loadtests.advising.subject import Subject
from loadtests.advising.sweep import sweep
from loadtests.asks import Ask, shares
from loadtests.judging.metrics import cpu_ms_per_request
from loadtests.judging.rounds import Round
from loadtests.running import schedule, servers
from loadtests.running.generators import Generator
from loadtests.running.measuring import InDoubt, measure
from loadtests.running.rows import Row
from loadtests.running.sockets import Address, addresses_of
from project.errors import FatalError

Rounds = Iteration[Round, None, None]
# In which each interface is probed: one process, so that it is the one that answers.
PROBED = {
    "wsgi": ("wsgi-threads", "wsgi-granian", "wsgi-sync"),
    "asgi": ("asgi-uvicorn", "asgi-granian", "asgi-gunicorn"),
}
TURNS, MAX_WINDOW_S = 4, 5  # of the slowest request, in a window
PROBED_THREADS = 16  # more than are asked for at once
POOLS = {"psycopg": (3, 1), "psycopg-pool": (3, 1), "django": (5, 1)}  # since when Django has one


@dataclass
class Wish:
    """What was asked for."""

    subject: Subject
    asks: Sequence[Ask]
    load: Load
    now: SubjectDeployment | None
    locustfile: Path | None
    deployments: Mapping[str, SubjectDeployment] = field(init=False)
    any_body: bool = False
    remarks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.deployments = deployments_of(self.subject)

    @property
    def databases(self) -> set[Address]:
        found: set[Address] = set()
        for one in self.subject.databases:
            found |= addresses_of(one.kind, one.host, one.port or None)
        return found

    def advice(self) -> Advice:
        subject = self.subject
        known = {name: subject.versions[name] for name in ("django",) if name in subject.versions}
        packages = ("gunicorn", "uvicorn", "granian")
        servers_ = {name: subject.versions[name] for name in packages if name in subject.versions}
        return Advice(
            project=subject.folder.name,
            folder=str(subject.folder),
            settings=subject.settings,
            versions={"python": subject.python_version, **known, **servers_},
            uses=subject.uses,
            served_so=subject.served_so,
            asks=shares(self.asks) if self.asks else {f"what {self.locustfile} does": 1.0},
            users=self.load.users,
            rate=self.load.rate,
            sync_only=tuple(
                f"{one.path} ({one.place})"
                for one in subject.middleware
                if not one.takes_async and "asgi" in subject.interfaces
            ),
        )


# --- Look


def look(wish: Wish, say: Callable[[str], None]) -> list[Profile]:
    """Check the answers and profile the requests, on a server of each interface.

    Where they fail on one interface only, as an async lock may under WSGI, that one is left out,
    with a remark. AnswerError, ServerError: in one line.
    """
    found: list[Profile] = []
    failed: list[FatalError] = []
    for interface, names in PROBED.items():
        name = next((name for name in names if name in wish.deployments), "")
        if not name:
            continue
        deployment = replace(wish.deployments[name], workers=1, probes=True)
        if interface == "wsgi" and deployment.can_thread:
            deployment = replace(deployment, threads=PROBED_THREADS)
        say(f"looking into requests under {interface.upper()}")
        try:
            with servers.serving([deployment], [{}]) as (server,):
                differs = check(server, wish.asks, wish.subject.login_url)
                found += profiles(server, wish.asks)
                wish.any_body = wish.any_body or differs
        except FatalError as error:
            failed.append(error)
            wish.remarks.append(f"left out under {interface.upper()}: {error}")
    if failed and not found:
        raise failed[-1]
    return found


# --- Think


def candidates_for(
    wish: Wish, found: Sequence[Profile]
) -> tuple[list[Candidate], dict[str, SubjectDeployment]]:
    """Return what is worth measuring, and how each of it is served."""
    database = wish.subject.database
    is_served = database is not None and database.kind != "sqlite3"
    kept = database is not None and (database.conn_max_age != 0 or database.pool)
    if wish.asks:
        planned = thinking.plans(
            {kind: of for kind in PROBED if (of := [p for p in found if p.interface == kind])},
            shares(wish.asks),
            wish.deployments.keys(),
            wish.load,
            CORES,
            keeps_connections=kept,
            can_keep=is_served,
            can_pool=is_served
            and database is not None
            and database.kind == "postgresql"
            and not database.pool
            and all(version_of(wish.subject, name) >= since for name, since in POOLS.items()),
        )
    else:
        planned = unprofiled(wish)
    served = {plan.name: served_as(plan, wish.deployments) for plan in planned}
    why = {plan.name: plan.why for plan in planned}
    if now := wish.now:
        served = {NOW: now} | {name: one for name, one in served.items() if not _alike(one, now)}
    return [
        Candidate(
            name=name,
            deployment="" if name == NOW else deployment.name,
            interface=deployment.interface,
            workers=deployment.workers,
            threads=deployment.threads if deployment.interface == "wsgi" else 0,
            pool=deployment.pool_size,
            command=deployment.command_to_copy,
            changes=deployment.settings_to_copy,
            why=why.get(name, ""),
        )
        for name, deployment in served.items()
    ], served


def unprofiled(wish: Wish) -> list[Plan]:
    """Plan for what a locustfile does, of which nothing is known beforehand: by users and cores."""
    found = []
    users, why = wish.load.users, "what the users do is not known beforehand: "
    if "wsgi-sync" in wish.deployments:
        formula = f"gunicorn's documentation: 2 x cores + 1 processes, here {2 * CORES + 1}"
        found.append(Plan(FORMULA, "wsgi-sync", 2 * CORES + 1, 1, formula))
    if "wsgi-threads" in wish.deployments:
        threads = thinking.rounded_up(ceil(users / CORES))
        each = why + f"a thread for each of {users}, over {CORES} processes"
        found.append(Plan("threads", "wsgi-threads", CORES, threads, each))
    if "asgi-workers" in wish.deployments:
        loops = why + "an event loop for each core"
        found.append(Plan("loops", "asgi-workers", CORES, 1, loops))
    return found


def served_as(plan: Plan, deployments: Mapping[str, SubjectDeployment]) -> SubjectDeployment:
    return replace(
        deployments[plan.deployment],
        workers=plan.workers,
        threads=plan.threads,
        database=plan.database,
        pool_size=plan.pool_size,
    )


def _alike(one: SubjectDeployment, now: SubjectDeployment) -> bool:
    """Tell whether a candidate is what runs now: the same program, shape and settings."""
    program = {one.command_to_copy.split()[0], Path(now.copied.split()[0]).name}
    return (
        len(program) == 1
        and not one.database
        and (one.interface, one.workers, one.threads) == (now.interface, now.workers, now.threads)
    )


# --- Measure


def comparison_and_rows(
    wish: Wish, found: Sequence[Candidate], served: Mapping[str, SubjectDeployment]
) -> tuple[Comparison, list[Row]]:
    """Make them all a comparison with what runs now, or else with the formula."""
    names = [one.name for one in found]
    base = next(name for name in (NOW, FORMULA, *names) if name in names)
    comparison = comparison_of(
        [(one.name, one.interface) for one in found],
        base,
        users=wish.load.users,
        rate=wish.load.rate,
    )
    rows = [
        row_of(
            comparison,
            one.name,
            served[one.name],
            wish.asks,
            any_body=wish.any_body,
            locustfile=wish.locustfile,
        )
        for one in found
    ]
    return comparison, rows


def long_enough(plan: schedule.Plan, profiles: Sequence[Profile]) -> schedule.Plan:
    """Return the plan with windows in which the slowest request is answered a few times over.

    In one that is shorter users move in lockstep: it would see either their answers or none.
    """
    slowest_s = max((profile.wall_ms for profile in profiles), default=0) / 1000
    return replace(plan, window=min(MAX_WINDOW_S, max(plan.window, TURNS * slowest_s)))


def rounds_of(
    wish: Wish,
    comparison: Comparison,
    rows: Sequence[Row],
    plan: schedule.Plan,
    seed: int,
    generators: Sequence[Generator],
    in_doubt: InDoubt,
    logs: Path,
) -> Rounds:
    """Measure them in interleaved rounds, as `compare` does; close it to end the servers."""
    return measure(
        comparison, rows, plan, seed, generators, in_doubt, logs, databases=wish.databases
    )


def swept(
    wish: Wish,
    comparison: Comparison,
    rows: Sequence[Row],
    candidate: Candidate,
    found: Sequence[Profile],
    generator: Generator,
    stepped: Callable[[], None],
) -> Sweep:
    """Load one candidate from one user to saturation."""
    row = next(row for row in rows if row.route == candidate.name)
    steps: list[Step] = []
    window = long_enough(schedule.FULL, found).window
    for step in sweep(comparison, row, generator, wish.databases, window=window):
        steps.append(step)
        stepped()
    at = knee(steps)
    mine = [profile for profile in found if profile.interface == candidate.interface]
    return Sweep(candidate.name, tuple(steps), at, gives_first(steps, at, candidate, CORES, mine))


# --- Answer


def answered(
    advice: Advice, wish: Wish, rounds: Sequence[Round], found: Sequence[Candidate]
) -> Advice:
    """Choose, and say what would change the choice."""
    choices = choose([one.name for one in found], rounds)
    by_threads = [one for one in found if one.slots and one.interface == "wsgi"]
    mixes = {
        kind: Mix.of([p for p in advice.profiles if p.interface == kind], advice.asks)
        for kind in PROBED
        if any(p.interface == kind for p in advice.profiles)
    }
    # What a request costs under load, without probes, is known by now.
    for interface in mixes:
        if cpu_ms := [
            found_ms
            for one in found
            if one.interface == interface
            for found_ms in cpu_of(rounds, one.name)
        ]:
            mixes[interface] = replace(mixes[interface], cpu=median(cpu_ms) / 1000)
    crossed: tuple[Crossover, ...] = ()
    if len(mixes) == 2 and by_threads:
        chosen = {choice.name for choice in choices}
        threads = next((one for one in by_threads if one.name in chosen), by_threads[-1])
        crossed = crossovers(threads, mixes["wsgi"], mixes["asgi"], wish.load.users, CORES)
    return replace(
        advice,
        candidates=tuple(found),
        choices=choices,
        crossovers=crossed,
        remarks=tuple(wish.remarks),
    )


def cpu_of(rounds: Sequence[Round], name: str) -> list[float]:
    """Return the CPU ms of a request, of each round of the candidate that has answers."""
    found = [cpu_ms_per_request(round_) for round_ in rounds if round_.variant == name]
    return [ms for ms in found if ms > 0]
