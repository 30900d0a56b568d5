"""Pictures of a result."""

from collections.abc import Mapping
from itertools import groupby
from math import ceil
from typing import Any

from matplotlib.figure import Figure

from comparisons.pairs import COMPARISONS

SYNC, ASYNC, PITFALL = "#64748b", "#0d9488", "#dc2626"
COLUMNS = 2


def throughput(result: Mapping[str, Any]) -> Figure:
    """A panel per comparison, a bar per variant: requests/s with its interval, and its ceiling."""
    panels = [(slug, list(rows)) for slug, rows in groupby(result["measurements"], _slug)]
    lines = ceil(len(panels) / COLUMNS)
    tallest = max(len(rows) for _, rows in panels)
    figure = Figure(figsize=(11, lines * (0.9 + 0.32 * tallest)), layout="constrained")
    grid = figure.subplots(lines, COLUMNS, squeeze=False).flat
    for axes in grid:
        axes.set_axis_off()
    for axes, (slug, rows) in zip(grid, panels, strict=False):
        _panel(axes, slug, rows)
    figure.suptitle(
        "Requests a second: sync (grey), async (green), pitfalls (red); | is the ceiling",
        fontsize=11,
    )
    return figure


def _slug(row: Mapping[str, Any]) -> str:
    return str(row["comparison"])


def _panel(axes: Any, slug: str, rows: list[Mapping[str, Any]]) -> None:
    pitfalls = (
        {v.name for v in COMPARISONS[slug].variants if v.pitfall} if slug in COMPARISONS else ()
    )
    axes.set_axis_on()
    axes.set_title(slug, loc="left", fontsize=10, fontweight="bold")
    several = len({(row["users"], row["round_trip"]) for row in rows}) > 1
    names = [
        row["variant"] + (f", {row['users']} users, {row['round_trip']:g} ms" if several else "")
        for row in rows
    ]
    for place, row in enumerate(rows):
        rate = row["throughput"]
        if row["variant"] in pitfalls:
            colour = PITFALL
        else:
            colour = ASYNC if row["variant"].startswith("async") else SYNC
        low, high = rate["low"] or 0, rate["high"] or rate["mean"]
        whisker = [[max(rate["mean"] - low, 0)], [max(high - rate["mean"], 0)]]
        axes.barh(place, rate["mean"], color=colour, height=0.7, xerr=whisker, ecolor="#0f172a")
        if row["ceiling"]:
            axes.plot(row["ceiling"], place, "|", color="#0f172a", markersize=12)
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
