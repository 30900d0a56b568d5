"""The chart of one round: its requests, each a bar, and the bystander's calls below."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from comparisons.pages.marks import (
    FAINT,
    INK,
    LINE,
    MARGIN,
    WIDTH,
    Chart,
    Row,
    Spec,
    axis,
    laid_out,
    own,
    px,
    texts,
)
from comparisons.result import Timeline, figure, in_digits

LANE, CALLS = 84, 24  # px high, at most
LANE_GAP = 12


def timeline_of(rows: Sequence[Row]) -> Chart | None:
    """A lane for each row: its requests, each a bar, and the bystander's calls below."""
    timelines = {
        row.label: row.measured.timeline
        for row in rows
        if row.measured.valid and row.measured.timeline and row.measured.timeline.requests
    }
    if not timelines:
        return None
    rows = [row for row in rows if row.label in timelines or not row.measured.valid]
    length = max(timeline.length for timeline in timelines.values())
    per_px = length / (WIDTH - 2 * MARGIN) or 1
    bars: list[Spec] = []
    names: list[Spec] = []
    said: list[str] = []
    top = 0.0
    for row in rows:
        timeline = timelines.get(row.label)
        counted = _counted(timeline) if timeline else _("not measured well enough")
        names.append({"said": row.named, "figure": counted, "base": top + LINE - 3})
        if timeline is None:
            top += LINE + LANE_GAP
            said.append(f"{row.named}: {counted}")
            continue
        top += LINE + 3
        requests = _packed(timeline.requests, timeline, per_px)
        bars += _laid(requests, top, LANE, row.colour)
        top += _height(requests, LANE)
        if timeline.bystander:
            calls = _packed(timeline.bystander, timeline, per_px)
            bars += _laid(calls, top + 3, CALLS, FAINT)
            top += 3 + _height(calls, CALLS)
        top += LANE_GAP
        said.append(f"{row.named}: {_told(timeline)}")
    x: Spec = {"type": "quantitative", "scale": {"domain": [0, length], "nice": False}}
    layers: list[Spec] = [
        {
            "data": {"values": [bar for bar in bars if bar["failed"] == failed]},
            "mark": {"type": "rect", "opacity": 0.4 if failed else 1},
            "encoding": {
                "x": x | {"field": "from", "axis": axis(_("ms"))},
                "x2": {"field": "to"},
                "y": px("top"),
                "y2": {"field": "bottom"},
                "color": own("colour"),
            },
        }
        for failed in (False, True)
    ]
    layers += [
        texts(names, "said", {"value": 0}, "left", INK, WIDTH * 0.6),
        texts(names, "figure", {"value": WIDTH - 2 * MARGIN}, "right", FAINT, WIDTH * 0.6),
    ]
    notes = [_("a bar is a request, with a row for each under way (pale: it failed)")]
    if any(timeline.bystander for timeline in timelines.values()):
        notes.append(_("grey, below: the calls of a bystander"))
    return laid_out("timeline", _("One round, request by request"), said, round(top), layers, notes)


@dataclass(frozen=True)
class Packed:
    """row: the first that is free when it begins."""

    row: int
    begin: float
    end: float
    failed: bool


def _packed(calls: Iterable[Sequence[float]], within: Timeline, per_px: float) -> list[Packed]:
    """Place what overlaps in rows; those under way from the beginning by their ends.

    So that rows are users: the one that is free for the shortest time has the next.
    """
    cut = []
    for start, duration, *failed in calls:
        begin, end = max(start, 0), min(start + duration, within.length)
        if begin <= end:
            cut.append((begin, end, bool(failed and failed[0])))
    free: list[float] = []  # from when each row is
    packed = []
    for begin, end, failed_ in sorted(cut):
        # Starts and ends are rounded, and a user needs a moment between two requests.
        fitting = [row for row, since in enumerate(free) if since <= begin + per_px]
        row = max(fitting, key=lambda row: free[row]) if fitting else len(free)
        free[row : row + 1] = [end]
        packed.append(Packed(row, begin, end, failed_))
    return [replace(one, end=max(one.begin + per_px / 2, one.end - per_px)) for one in packed]


def _row_height(packed: Sequence[Packed], most: float) -> float:
    return min(8, most / (1 + max((one.row for one in packed), default=0)))


def _height(packed: Sequence[Packed], most: float) -> float:
    return _row_height(packed, most) * (1 + max((one.row for one in packed), default=0))


def _laid(packed: Sequence[Packed], top: float, most: float, colour: str) -> list[Spec]:
    height = _row_height(packed, most)
    gap = 1 if height >= 3 else 0.3
    return [
        {
            "from": one.begin,
            "to": one.end,
            "top": round(top + one.row * height, 1),
            "bottom": round(top + (one.row + 1) * height - gap, 1),
            "colour": colour,
            "failed": one.failed,
        }
        for one in packed
    ]


def _counted(timeline: Timeline) -> str:
    drawn = len(timeline.requests)
    if drawn < timeline.of:
        return _("{drawn} of {count} requests drawn").format(
            drawn=in_digits(f"{drawn:,}"), count=in_digits(f"{timeline.of:,}")
        )
    said = ngettext("{count} request", "{count} requests", drawn)
    return said.format(count=in_digits(f"{drawn:,}"))


def _told(timeline: Timeline) -> str:
    durations = sorted(duration for _start, duration, *_failed in timeline.requests)
    told = _("{requests} in {length} ms, the longest of {longest} ms").format(
        requests=_counted(timeline),
        length=figure(timeline.length),
        longest=figure(durations[-1]),
    )
    if timeline.bystander:
        longest = max(duration for _start, duration in timeline.bystander)
        told += "; " + _("a bystander waits up to {ms} ms").format(ms=figure(longest))
    return told
