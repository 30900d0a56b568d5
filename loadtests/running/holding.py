"""What holds the event loops of the servers, found out before the first round: see project/held.py.

Never while a window is open: the watch takes CPU time.
"""

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from comparisons.result import Hold, rounded
from loadtests.running import servers
from loadtests.running.rows import Row
from loadtests.running.warming import answer_of, asks_of

# One request alone, then two at once, of which one may have to wait for the other. Of a quick view
# more often: a short hold is not seen each time.
TOGETHER = (1, 2)
MAX_TURNS, ENOUGH_S = 4, 0.2
# A view that holds the loop does so time and again. What does it once, or to few requests, happens
# to a server now and then: an import, a collection of garbage.
MIN_TIMES, MIN_SHARE = 2, 1 / 3
TIMEOUT_S = 5
NOT_TOLD = (OSError, ValueError, LookupError, TypeError)  # what an app answers that is not Django's


def holds(slug: str, rows: Sequence[Row], running: Sequence[servers.Running]) -> list[Any]:
    """Ask each server a few times what its variant holds the loop with, all servers at once.

    Where one declares that it computes they would compute beside each other: one after another.

    Return for each row a list of Hold, the longest first; None where nobody can look: a server
    without an event loop, or with several processes, one that another application answers.
    """
    threads = ThreadPoolExecutor(1 if any(row.variant.cpu for row in rows) else max(1, len(rows)))
    try:
        return list(threads.map(partial(holds_of, slug), rows, running))
    finally:
        threads.shutdown(wait=False)  # what interrupts us ends the servers, and so the calls


def holds_of(slug: str, row: Row, server: servers.Running) -> list[Hold] | None:
    if not can_look(row) or _held(server, "begin") is None:
        return None
    groups = [min(count, row.users) for count in TOGETHER]  # more would take memory no round does
    asked, began = 0, time.monotonic()
    for _ in range(MAX_TURNS):
        for count in groups:
            ask_together(slug, row, server, count)
        asked += sum(groups)
        if time.monotonic() - began > ENOUGH_S:
            break
    seen = _held(server, "end")
    return None if seen is None else told(seen, asked)


def told(seen: Sequence[Mapping[str, Any]], asked: int) -> list[Hold]:
    """Of what was seen of so many requests, what most of them have met."""
    least = max(MIN_TIMES, MIN_SHARE * asked)
    return [hold_of(found, asked) for found in seen if found["times"] >= least]


def can_look(row: Row) -> bool:
    deployment = row.deployment
    return (
        row.is_ours
        and not row.variant.app
        and deployment.interface == "asgi"
        and deployment.workers == 1
    )


def ask_together(slug: str, row: Row, server: servers.Running, count: int) -> None:
    """Ask as the warm-up does; what is answered counts for nothing."""
    (ask,) = asks_of(slug, row)
    with ThreadPoolExecutor(count) as threads:
        for _ in range(count):
            threads.submit(answer_of, server, ask)


def _held(server: servers.Running, what: str) -> list[dict[str, Any]] | None:
    """Begin or end looking. Return what was seen until now; None if the server does not tell."""
    url = f"{server.own_url}held/?{what}"
    with suppress(*NOT_TOLD), servers.direct.open(url, timeout=TIMEOUT_S) as response:
        seen: list[dict[str, Any]] = json.load(response)["held"]
        return seen
    return None


def hold_of(found: Mapping[str, Any], requests: int) -> Hold:
    """What was seen of so many requests. A short hold, or one on a busy machine, is not always."""
    seen = min(requests, found["times"])
    return Hold(
        place=found["place"],
        code=found["code"],
        calls=found["calls"],
        ms=rounded(found["ms"] / seen) or 0,
        cpu_ms=rounded(found["cpu_ms"] / seen) or 0,
        times=rounded(found["times"] / requests) or 0,
        longest_ms=rounded(found["longest_ms"]) or 0,
    )
