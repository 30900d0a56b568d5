"""What holds the event loop of a server of ours, by line: `/held/?begin`, then `/held/?end`.

The measuring asks for it before the first round. Until then nothing of it is loaded, and after it
nothing of it runs.
"""

from __future__ import annotations

import asyncio
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, JsonResponse

from comparisons.declarations import place_of
from comparisons.pairs import COMPARISONS

if TYPE_CHECKING:
    from project.inside.advised.loop import Hold, LoopWatch

PAUSE_S = 0.002  # between two beats: nothing is measured meanwhile, so they may cost something
_watch: LoopWatch | None = None


@transaction.non_atomic_requests
async def held(request: HttpRequest) -> JsonResponse:
    """Answer with what was seen since `?begin`: ms, CPU ms and how often, of all requests."""
    global _watch
    before, _watch = _watch, None
    holds = before.stop() if before else []
    if "begin" in request.GET:
        from project.inside.advised.loop import LoopWatch

        loop = asyncio.get_running_loop()
        _watch = LoopWatch(loop, rank, outermost=True, pause_s=PAUSE_S, budget=1)
        _watch.start()
    return JsonResponse({"held": [_row(hold) for hold in holds]})


def _row(hold: Hold) -> dict[str, str | float]:
    return {
        "place": place_of(hold.place.file, hold.place.line),
        "code": hold.place.code,
        "calls": hold.calls,
        "ms": hold.ms,
        "cpu_ms": hold.cpu_ms,
        "times": hold.times,
        "longest_ms": hold.longest_ms,
    }


@cache
def rank(file: str) -> int:
    """How near a file is to a pair's reader: 2 is a pair, 1 what pairs share or have beside them.

    A helper that holds the loop is named by the pair's line that calls it.
    """
    pairs = {Path(comparison.module.__file__ or "") for comparison in COMPARISONS.values()}
    path = Path(file)
    if path in pairs:
        return 2
    beside = {pair.parent for pair in pairs}
    return int(path.is_relative_to(settings.BASE_DIR / "comparisons") or path.parent in beside)
