"""The README's picture: panels that say what was found, with the bars that show it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from comparisons.result import Measurement, figure

SYNC, ASYNC, INK, FAINT = "#94a3b8", "#2dd4bf", "#0f172a", "#475569"
# Told apart not by colour alone.
PITFALL: dict[str, Any] = {"facecolor": "#ef4444", "edgecolor": "white", "hatch": "////"}
INTERVAL: dict[str, Any] = {"color": INK, "linewidth": 2.5}
COLUMNS = 2
WIDTH = 8.6  # inches: 826 px, about what GitHub's README has
ROOM = 1.5  # of the longest bar: for the number beside it, and for what marks a pitfall


@dataclass(frozen=True)
class Bar:
    """One measured row, named in words."""

    words: str
    row: Measurement
    pitfall: bool = False


@dataclass(frozen=True)
class Panel:
    """title: what was found; about: what every one of the bars does."""

    title: str
    about: str
    bars: Sequence[Bar]


def throughput(panels: Sequence[Panel]) -> Figure:
    """Draw the panels, with a bar for each row: its requests/s and their interval."""
    lines = ceil(len(panels) / COLUMNS)
    tallest = max(len(panel.bars) for panel in panels)
    drawn = Figure(
        figsize=(WIDTH, 0.8 + lines * (0.75 + 0.27 * tallest)),
        layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1),
    )
    grid = list(drawn.subplots(lines, COLUMNS, squeeze=False).flat)
    for axes, panel in zip(grid, panels, strict=False):
        _panel(axes, panel)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    drawn.suptitle(
        "Requests served per second, measured: longer is better", fontsize=12, fontweight="bold"
    )
    drawn.legend(handles=_legend(), loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    return drawn


def _panel(axes: Axes, panel: Panel) -> None:
    # From the panel's own edge, above the names too: a title is longer than the bars.
    axes.annotate(
        panel.title, (0, 1), (-132, 20), xycoords="axes fraction", textcoords="offset points"
    ).set(fontsize=10.5, fontweight="bold")
    axes.annotate(
        panel.about, (0, 1), (-132, 6), xycoords="axes fraction", textcoords="offset points"
    ).set(fontsize=9, color=FAINT)
    for place, bar in enumerate(panel.bars):
        if bar.row.valid:
            _bar(axes, place, bar)
        else:
            axes.text(0, place, " not measured well enough", va="center", fontsize=9)
    axes.set_yticks(range(len(panel.bars)), [bar.words for bar in panel.bars], fontsize=9)
    axes.set_ylim(len(panel.bars) - 0.5, -0.5)
    ends = [bar.row.throughput.high or bar.row.throughput.mean or 0 for bar in panel.bars]
    axes.set_xlim(0, ROOM * max(ends, default=1) or 1)
    axes.set_xticks([])  # each bar has its number
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def _bar(axes: Axes, place: int, bar: Bar) -> None:
    """Draw a row: bar and interval, each with an id that stays in an SVG file."""
    rate, name = bar.row.throughput, f"{bar.row.comparison}-{bar.row.variant}"
    (drawn,) = axes.barh(place, rate.mean or 0, height=0.7, **_look(bar))
    drawn.set_gid(f"bar-{name}")
    if rate.low is not None and rate.high is not None:
        (interval,) = axes.plot([rate.low, rate.high], [place, place], **INTERVAL)
        interval.set_gid(f"interval-{name}")
    said = figure(rate.mean) + ("  ← pitfall" if bar.pitfall else "")
    axes.annotate(
        said,
        (max(rate.high or 0, rate.mean or 0), place),
        (4, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
    )


def _look(bar: Bar) -> dict[str, Any]:
    if bar.pitfall:
        return PITFALL
    return {"facecolor": ASYNC if bar.row.variant.startswith("async") else SYNC}


def _legend() -> list[Artist]:
    return [
        Patch(label="sync view", facecolor=SYNC),
        Patch(label="async view", facecolor=ASYNC),
        Patch(label="pitfall: what not to do", **PITFALL),
        Line2D([], [], label="where the true rate lies, 95 % sure", **INTERVAL),
    ]
