"""The simulated external service: a plain ASGI app in a process of its own.

GET /wait/MS                answers after that many milliseconds (0 to 60,000)
GET /limited/WHO/CAPACITY/MS
                            the same, but 503 at once while CAPACITY (to 1,000) others of that WHO
                            are answered
GET /freeze/MS              answers at once; from now on nothing else is answered for so long
GET /counts                 {"requests": N, "most_at_once": N} since the last GET of /counts, and
                            {"under_way": N} now
"""

import asyncio
import time
from collections import Counter
from typing import Any

from comparisons.json_app import json_app

LONGEST_WAIT_MS = 60_000
MOST_CAPACITY = 1_000

under_way: Counter[str] = Counter()  # by path
seen = Counter(requests=0, most_at_once=0)
frozen_until = 0.0  # time.monotonic()


async def answer_to(path: str) -> tuple[int, dict[str, Any]]:
    """The status and the JSON object that answer a GET of this path."""
    global frozen_until
    match path.split("/"):
        case ["", "wait", ms] if _within(ms, LONGEST_WAIT_MS):
            await waited(path, int(ms))
            return 200, {"waited_ms": int(ms)}
        case ["", "limited", _, capacity, ms] if _within(capacity, MOST_CAPACITY) and _within(
            ms, LONGEST_WAIT_MS
        ):
            if under_way[path] >= int(capacity):
                return 503, {"error": f"{capacity} requests are under way"}
            await waited(path, int(ms))
            return 200, {"waited_ms": int(ms)}
        case ["", "freeze", ms] if _within(ms, LONGEST_WAIT_MS):
            frozen_until = time.monotonic() + int(ms) / 1000
            return 200, {"frozen_ms": int(ms)}
        case ["", "counts"]:
            counts = {**seen, "under_way": under_way.total()}
            seen.update(requests=-counts["requests"], most_at_once=-counts["most_at_once"])
            return 200, counts
    return 404, {"error": f"no such path: {path}"}


async def waited(path: str, ms: int) -> None:
    """Waits, and for the end of a freeze if there is one, counting who waits at the same time."""
    under_way[path] += 1
    seen["requests"] += 1
    seen["most_at_once"] = max(seen["most_at_once"], under_way.total())
    try:
        await asyncio.sleep(max(ms / 1000, frozen_until - time.monotonic()))
    finally:
        under_way[path] -= 1


def _within(text: str, most: int) -> bool:
    return text.isdecimal() and int(text) <= most


app = json_app(answer_to)
