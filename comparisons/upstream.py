"""The simulated external service: a plain ASGI app in a process of its own.

GET /wait/MS                answers after that many milliseconds (0 to 60,000)
GET /failing/MS             fails after that many (500)
GET /limited/WHO/CAPACITY/MS
                            the same, but 503 at once while CAPACITY (to 1,000) others of that WHO
                            are answered
GET /of/CALLER/...          any of these, counted as a call of that caller
GET /under-way/CALLER       how many calls of that caller are under way

A call ends when its client leaves.
"""

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any

from comparisons.json_app import Gone, json_app

MAX_WAIT_MS = 60_000
MAX_CAPACITY = 1_000

under_way: Counter[str] = Counter()  # by path, and by caller


async def answer_to(path: str, gone: Gone) -> tuple[int, dict[str, Any]]:
    """Return the status and the JSON object that answer a GET of this path."""
    match path.split("/"):
        case ["", "of", caller, *rest]:
            under_way[caller] += 1
            try:
                return await answer_to("/".join(["", *rest]), gone)
            finally:
                under_way[caller] -= 1
        case ["", "under-way", caller]:
            return 200, {"under_way": under_way[caller]}
        case ["", "wait", ms] if _is_within(ms, MAX_WAIT_MS):
            await _wait(int(ms), gone)
            return 200, {"waited_ms": int(ms)}
        case ["", "failing", ms] if _is_within(ms, MAX_WAIT_MS):
            await _wait(int(ms), gone)
            return 500, {"error": f"failed after {ms} ms"}
        case ["", "limited", _, capacity, ms] if _is_within(capacity, MAX_CAPACITY) and _is_within(
            ms, MAX_WAIT_MS
        ):
            if under_way[path] >= int(capacity):
                return 503, {"error": f"{capacity} requests are under way"}
            under_way[path] += 1
            try:
                await _wait(int(ms), gone)
            finally:
                under_way[path] -= 1
            return 200, {"waited_ms": int(ms)}
    return 404, {"error": f"no such path: {path}"}


async def _wait(ms: int, gone: Gone) -> None:
    """Wait for so long, or until the client has left."""
    with suppress(TimeoutError):
        async with asyncio.timeout(ms / 1000):
            await gone()


def _is_within(text: str, maximum: int) -> bool:
    return text.isdecimal() and len(text) <= len(str(maximum)) and int(text) <= maximum


app = json_app(answer_to)
