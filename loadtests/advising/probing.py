"""What each kind of request is made of, asked of a server with probes (project/inside/advised/)."""

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from statistics import median
from typing import Any

from comparisons.advice import Hop, Line, Profile
from loadtests.asks import Ask
from loadtests.running import servers
from loadtests.running.asking import TIMEOUT_S, ask
from loadtests.running.servers import ServerError

WARM_UPS = 2  # a request imports, connects, fills caches
ALONE, ALONE_S = 20, 2.0  # requests one after another, and seconds after which no other begins
TOGETHER = 8  # at once, twice: who waits for whom shows only then
DYING_S = 1  # from a connection that breaks to the end of the process
SETTLE_S = 5  # for what is done after the last answer
MAX_LINES = 12
LONGER = 3  # times as long as alone: they wait for each other
PASSES_ON = "get_response("  # in a middleware: the time of all that comes after it
MIN_MS = 0.5  # a request: less of it is no line worth a reader's time


def profiles(server: servers.Running, asks: Sequence[Ask]) -> list[Profile]:
    """Profile each of them, one after the other. ServerError if the server dies of it."""
    found = []
    for what in asks:
        try:
            found.append(profile(server, what))
        except TimeoutError:
            raise ServerError(
                f"{what.name} has not ended after {TIMEOUT_S} s, with {TOGETHER} at once"
            ) from None
        except (OSError, HTTPException, ValueError) as error:
            if death := death_of(server):
                raise ServerError(f"{what.name}: {death}: {servers.said(server.log)}") from None
            raise ServerError(f"{what.name} fails ({error!r})") from None
    return found


def death_of(server: servers.Running) -> str | None:
    """Say how it died, of which the broken connection comes first; None if it lives on."""
    deadline = time.monotonic() + DYING_S
    while not (death := server.death()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return death


def profile(server: servers.Running, what: Ask) -> Profile:
    """Time lone requests; then look into others, alone and several at once."""
    for _ in range(WARM_UPS):
        ask(server, what)
    timed = _seen(server, what, "count", at_once=1)
    alone = _seen(server, what, "begin", at_once=1)
    together = _seen(server, what, "begin", at_once=TOGETHER)
    wall_ms = median(timed["wall_ms"])
    cpu_ms = min(timed["cpu_ms"], wall_ms)
    view = timed["view"]
    return Profile(
        ask=what.name,
        interface=server.deployment.interface,
        view=view.get("name", ""),
        place=view.get("place", ""),
        is_async=bool(view.get("is_async")),
        requests=sum(seen["requests"] for seen in (timed, alone, together)),
        wall_ms=round(wall_ms, 3),
        cpu_ms=round(cpu_ms, 3),
        wait_ms=round(wall_ms - cpu_ms, 3),
        queries=round(timed["queries"], 2),
        query_ms=round(timed["query_ms"], 3),
        connections=max(seen["connections"] for seen in (timed, together)),
        held_ms=round(timed["held_ms"], 3),
        hops=tuple(
            Hop(hop["by"], hop["place"], hop["to"], round(hop["times"], 2))
            for hop in sorted(alone["hops"], key=lambda hop: -hop["times"])
        ),
        lines=_lines(alone, together),
    )


def _seen(server: servers.Running, what: Ask, how: str, at_once: int) -> dict[str, Any]:
    """Send requests while the probes count, or look, and return what they have seen."""
    _probes(server, how)
    if at_once == 1:
        began = time.monotonic()
        for _ in range(ALONE):
            ask(server, what)
            if time.monotonic() - began > ALONE_S:
                break
    else:
        with ThreadPoolExecutor(at_once) as threads:
            list(threads.map(lambda _: ask(server, what), range(2 * at_once)))
    deadline = time.monotonic() + SETTLE_S
    while _probes(server, "")["running"] and time.monotonic() < deadline:
        time.sleep(0.01)
    seen = _probes(server, "end")
    if not seen["requests"]:
        raise ServerError(f"{server.deployment.name} has not ended a request to {what.path}")
    return seen


def _probes(server: servers.Running, word: str) -> dict[str, Any]:
    url = f"{server.own_url}probes/{'?' if word else ''}{word}"
    with servers.direct.open(url, timeout=TIMEOUT_S) as response:
        found: dict[str, Any] = json.load(response)
    return found


def _lines(alone: Mapping[str, Any], together: Mapping[str, Any]) -> tuple[Line, ...]:
    """Choose the lines that say most: of a lone request, and what only several at once show.

    What holds the loop is as seen together, where others wait for it. Of the lines where requests
    wait then, only those where they wait for each other: a lock, a pool.
    """
    found = {(line.kind, line.place): line for line in map(_line, alone["lines"])}
    for line in map(_line, together["lines"]):
        before = found.get((line.kind, line.place))
        longer = line.ms > LONGER * (before.ms if before else 0)
        if line.kind == "holds" or (longer and _is_for_others(line)):
            found[line.kind, line.place] = line
    held = {line.place for line in found.values() if line.kind == "holds"}
    worth = [
        line
        for line in found.values()
        if line.kind == "holds" or (line.ms >= MIN_MS and line.place not in held)
        if PASSES_ON not in line.code
    ]
    worth.sort(key=lambda line: (line.kind != "holds", -line.ms))
    return tuple(worth[:MAX_LINES])


def _is_for_others(line: Line) -> bool:
    """Tell whether it waits there for another request: what the call is, or the line says so."""
    called = line.calls.rpartition(".")[2]
    return called in ("acquire", "getconn", "wait") or "lock" in line.code.lower()


def _line(row: Mapping[str, Any]) -> Line:
    return Line(
        place=row["place"],
        code=row["code"],
        calls=row["calls"],
        kind=row["kind"],
        ms=round(row["ms"], 3),
        cpu_ms=round(row["cpu_ms"], 3),
        times=round(row["times"], 3),
        longest_ms=round(row["longest_ms"], 3),
        others=round(row["others"], 2),
    )
