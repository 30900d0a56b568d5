"""Pictures of a result."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from math import ceil
from types import MappingProxyType
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from comparisons.pairs import COMPARISONS
from comparisons.result import Measurement, figure

SYNC, ASYNC, INK = "#94a3b8", "#2dd4bf", "#0f172a"
# Told apart not by colour alone.
PITFALL: dict[str, Any] = {"facecolor": "#ef4444", "edgecolor": "white", "hatch": "////"}
INTERVAL: dict[str, Any] = {"color": INK, "linewidth": 2.5}
CEILING: dict[str, Any] = {"color": INK, "linewidth": 1}
COLUMNS = 2
WIDTH = 8.6  # inches: 826 px, about what GitHub's README has


def throughput(
    measurements: Iterable[Measurement], titles: Mapping[str, str] = MappingProxyType({})
) -> Figure:
    """Draw a panel per comparison, a bar per variant: requests/s, its interval and its ceiling.

    titles: what a panel shows, by slug; the slug stands in its corner.
    """
    by_slug = groupby(measurements, lambda row: row.comparison)
    panels = [(slug, list(rows)) for slug, rows in by_slug]
    lines = ceil(len(panels) / COLUMNS)
    tallest = max(len(rows) for _, rows in panels)
    drawn = Figure(figsize=(WIDTH, 0.6 + lines * (0.6 + 0.24 * tallest)), layout="constrained")
    grid = list(drawn.subplots(lines, COLUMNS, squeeze=False).flat)
    for axes, (slug, rows) in zip(grid, panels, strict=False):
        _panel(axes, slug, titles.get(slug, slug), rows)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    drawn.suptitle("Requests served per second: longer is better", fontsize=12, fontweight="bold")
    drawn.legend(handles=_legend(), loc="outside lower center", ncols=5, fontsize=9, frameon=False)
    return drawn


def _panel(axes: Axes, slug: str, title: str, rows: list[Measurement]) -> None:
    pitfalls = (
        {v.name for v in COMPARISONS[slug].variants if v.pitfall} if slug in COMPARISONS else ()
    )
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    several = len({(row.users, row.round_trip) for row in rows}) > 1
    names = [
        row.variant + (f", {row.users} users, {row.round_trip:g} ms" if several else "")
        for row in rows
    ]
    for place, row in enumerate(rows):
        if row.valid:
            _bar(axes, place, row, row.variant in pitfalls)
        else:
            axes.text(0, place, " invalid", va="center", fontsize=9)
    axes.set_yticks(range(len(rows)), names, fontsize=9)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    # Room for the number beside the longest bar.
    ends = [max(row.throughput.high or 0, row.ceiling or 0) for row in rows]
    axes.set_xlim(0, 1.15 * max(ends, default=1) or 1)
    axes.tick_params(axis="x", labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def _bar(axes: Axes, place: int, row: Measurement, is_pitfall: bool) -> None:
    """Draw a row: bar, interval and ceiling, each with an id that stays in an SVG file."""
    rate, name = row.throughput, f"{row.comparison}-{place}"
    (bar,) = axes.barh(place, rate.mean or 0, height=0.7, **_look(row.variant, is_pitfall))
    bar.set_gid(f"bar-{name}")
    if rate.low is not None and rate.high is not None:
        (interval,) = axes.plot([rate.low, rate.high], [place, place], **INTERVAL)
        interval.set_gid(f"interval-{name}")
    end = max(rate.high or 0, rate.mean or 0, row.ceiling or 0)
    axes.annotate(
        figure(rate.mean), (end, place), (4, 0), textcoords="offset points", va="center", fontsize=9
    )
    if row.ceiling:
        (ceiling,) = axes.plot([row.ceiling] * 2, [place - 0.45, place + 0.45], **CEILING)
        ceiling.set_gid(f"ceiling-{name}")


def _look(variant: str, is_pitfall: bool) -> dict[str, Any]:
    if is_pitfall:
        return PITFALL
    return {"facecolor": ASYNC if variant.startswith("async") else SYNC}


def _legend() -> list[Artist]:
    return [
        Patch(label="sync", **_look("sync", False)),
        Patch(label="async", **_look("async", False)),
        Patch(label="the usual mistake", **_look("async", True)),
        Line2D([], [], label="95 % interval", **INTERVAL),
        Line2D(
            [],
            [],
            label="ceiling: what the work allows",
            marker="|",
            markersize=12,
            linestyle="",
            color=INK,
        ),
    ]
