"""Results of `advise`, made by code: a blocked async view, a sync view that waits, ASGI only."""

from dataclasses import replace
from datetime import UTC, datetime

from comparisons.advice import (
    ADVICE,
    Advice,
    Candidate,
    Choice,
    Crossover,
    Hop,
    Line,
    Profile,
    Step,
    Sweep,
)
from comparisons.advice_sentences import TITLE
from comparisons.result import Measurement, Result, Verdict
from tests.support.results import EXPECTED, MEASUREMENT, VERDICT

NOW = Candidate(
    name="now",
    deployment="",
    interface="wsgi",
    workers=2,
    threads=1,
    pool=None,
    command="gunicorn shop.wsgi -w 2",
)
FORMULA = replace(
    NOW,
    name="formula",
    deployment="wsgi-sync",
    workers=5,
    command="gunicorn shop.wsgi:application --workers 5",
    why="gunicorn's documentation: 2 x cores + 1 processes of one thread, here 5",
)
THREADS = replace(
    NOW,
    name="threads_kept",
    deployment="wsgi-threads",
    threads=12,
    command="gunicorn shop.wsgi:application --worker-class gthread --workers 2 --threads 12",
    changes=('DATABASES["default"]["CONN_MAX_AGE"] = None',),
    why=(
        "the same, and each thread keeps its connection: a request makes 2 queries, and connects "
        "for them each time as the settings are"
    ),
)
LOOPS = replace(
    NOW,
    name="loops",
    deployment="asgi-workers",
    interface="asgi",
    threads=0,
    command="uvicorn shop.asgi:application --workers 2",
    why=(
        "on an event loop a request takes no slot while it waits (47.4 of 63 ms); 15.6 ms of CPU "
        "a request keep 2 processes busy, a core each"
    ),
)
WAITING = Profile(
    ask="GET /orders/",
    interface="wsgi",
    view="shop.views.orders",
    place="shop/views.py:88",
    is_async=False,
    requests=36,
    wall_ms=52.8,
    cpu_ms=5.8,
    wait_ms=47.0,
    queries=2,
    query_ms=6.5,
    connections=1,
    held_ms=49.1,
    lines=(
        Line("shop/prices.py:31", "answer = requests.get(url)", "", "thread", 40.2, 0.3, 1, 44.0),
        Line("shop/views.py:90", "list(orders)", "psycopg.Cursor.execute", "query", 6.5, 0, 2, 9.1),
    ),
)
UNDER_ASGI = replace(
    WAITING,
    interface="asgi",
    wall_ms=63.0,
    cpu_ms=15.6,
    wait_ms=47.4,
    hops=(
        Hop("shop.middleware.Audit", "shop/middleware.py:12", "thread", 2),
        Hop("signals", "", "thread", 1),
        Hop("view", "shop/views.py:88", "thread", 1),
        Hop("shop.views.total", "shop/views.py:95", "loop", 1),
    ),
)
BLOCKED = replace(
    WAITING,
    ask="GET /report/",
    interface="asgi",
    is_async=True,
    view="shop.views.report",
    lines=(
        Line(
            "shop/prices.py:31", "requests.get(url)", "time.sleep", "holds", 40.2, 0.3, 1, 44.0, 17
        ),
        Line("shop/views.py:71", "await rates()", "", "awaits", 5.1, 0, 1, 6.0),
    ),
)


def sweep(candidate: str, knee: int | None = 16, gives_first: str = "threads") -> Sweep:
    users = (1, 2, 4, 8, 16, 32)
    return Sweep(
        candidate,
        tuple(
            Step(
                n, min(18.5 * n, 290.0), 53.0 if n <= 16 else 3.4 * n, 60.0 + 4 * n, 0.05 * n, n, 0
            )
            for n in users
        ),
        knee,
        gives_first,
    )


BASE = Advice(
    project="planted",
    folder="/home/me/planted",
    settings="shop.settings",
    versions={"python": "3.11.7", "django": "5.2.19", "gunicorn": "27.0.1"},
    uses=("database default: PostgreSQL, shop on localhost:5432",),
    served_so=("DEBUG = False, as where you deploy it", "127.0.0.1 in ALLOWED_HOSTS"),
    asks={"GET /orders/": 1.0},
    users=20,
    rate=None,
)
SYNC = replace(
    BASE,
    profiles=(WAITING, UNDER_ASGI),
    candidates=(NOW, FORMULA, THREADS, LOOPS),
    sweeps=(sweep("threads_kept"), sweep("now", 2)),
    crossovers=(
        Crossover("users", 20, 340, 10_000),
        Crossover("wait", 47.0, None, 60_000),
        Crossover("distance", 0, 12.5, 200),
    ),
    choices=(
        Choice("threads_kept", "now", "better", 9.16, 6.92, 12.13),
        Choice("threads_kept", "formula", "same", 1.01, 0.97, 1.04),
    ),
)
BLOCKED_ASYNC = replace(
    SYNC,
    asks={"GET /orders/": 0.75, "GET /report/": 0.25},
    profiles=(WAITING, UNDER_ASGI, BLOCKED),
)
ASGI_ONLY = replace(
    BASE,
    profiles=(replace(UNDER_ASGI, is_async=True, hops=(), queries=0, query_ms=0, lines=()),),
    candidates=(replace(LOOPS, name="formula", workers=5), LOOPS),
    sweeps=(sweep("loops", None, ""),),
    choices=(Choice("loops", "formula", "unknown", 1.02, 0.8, 1.3),),
)
CASES = {"blocked": BLOCKED_ASYNC, "sync": SYNC, "asgi": ASGI_ONLY}


def result_of(advice: Advice, **options: bool) -> Result:
    """A run that has measured each candidate."""
    return Result(
        started=datetime(2026, 11, 27, 7, 11, 34, tzinfo=UTC),
        environment={"cpu_model": "Abacus 9000", "cpu_count": 2},
        options={"advise": True, **options},
        declared=[{"comparison": ADVICE, "title": TITLE, "pitfalls": []}],
        measurements=[
            Measurement.from_row(
                MEASUREMENT
                | {
                    "comparison": ADVICE,
                    "variant": one.name,
                    "deployment": one.deployment or one.name,
                    "throughput": {
                        "mean": 40.0 * number,
                        "low": 38.0 * number,
                        "high": 42.0 * number,
                    },
                }
            )
            for number, one in enumerate(advice.candidates, 1)
        ],
        verdicts=[
            Verdict.from_row(
                VERDICT
                | EXPECTED
                | {
                    "comparison": ADVICE,
                    "verdict": "refuted",
                    "expectation": f"{one.name} throughput of now between 0.95 and 1.05",
                    "expected": EXPECTED["expected"]
                    | {
                        **{"variant": one.name, "metric": "throughput", "of": "now"},
                        **{"low": 0.95, "high": 1.05},
                    },
                }
            )
            for one in advice.candidates[1:]
        ],
        advice=advice,
    )
