"""What charts are made of: rows as they name them, marks of Vega-Lite, a layout in pixels.

Positions are laid out here and not by Vega, so that a drawing's size is known before it is drawn,
and no name, however long, moves anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from comparisons.result import Measurement

Spec = dict[str, Any]

WIDTH = 480  # of every chart but the small: what a phone nearly has
MARGIN = 20  # left and right: half of an axis's label
TEXT, SMALL_TEXT = 13, 12  # px
# The CSS variables of `pages.css`: one drawing serves light and dark.
INK, FAINT, GRID = "var(--text)", "var(--muted)", "var(--line)"
LINE = 15  # px of a row's words
AXIS_ROOM, Y_ROOM, NOTE_LINE = 42, 58, 17


@dataclass(frozen=True)
class Chart:
    """name: in its URL; title: what is shown; summary: what the picture says, in words."""

    name: str
    title: str
    summary: str
    width: int
    height: int
    spec: Spec


@dataclass(frozen=True)
class Row:
    """A measurement as charts name it."""

    measured: Measurement
    label: str  # tells it from all others of its comparison
    pitfall: bool
    on_loop: bool = False  # of `advise`, whose names do not say it

    @property
    def kind(self) -> str:
        if self.pitfall:
            return "pitfall"
        return "async" if self.on_loop or self.measured.variant.startswith("async") else "sync"

    @property
    def colour(self) -> str:
        return f"var(--{self.kind})"

    @property
    def named(self) -> str:
        """The label with the word for what colour alone would say."""
        return _("{variant} (pitfall)").format(variant=self.label) if self.pitfall else self.label


def texts(
    values: Sequence[Spec], field: str, x: Spec, align: str, colour: str, limit: float
) -> Spec:
    return {
        "data": {"values": values},
        "mark": {
            "type": "text",
            "align": align,
            "baseline": "alphabetic",
            "limit": limit,
            "color": colour,
        },
        "encoding": {"text": {"field": field, "type": "nominal"}, "x": x, "y": px("base")},
    }


def laid_out(
    name: str,
    title: str,
    said: Sequence[str],
    plot_height: int,
    layers: list[Spec],
    notes: Sequence[str] = (),
    below: int = 0,
    left: int = MARGIN,
    top: int = 6,
) -> Chart:
    """Lay the marks out over an axis, and notes below it."""
    padding = {
        "left": left,
        "right": MARGIN,
        "top": top,
        "bottom": AXIS_ROOM + below + NOTE_LINE * len(notes),
    }
    width = WIDTH - left - MARGIN
    for n, note in enumerate(notes):
        layers.append(
            {
                "data": {"values": [{"note": note}]},
                "mark": {
                    "type": "text",
                    "align": "left",
                    "baseline": "alphabetic",
                    "limit": WIDTH - 2 * MARGIN,
                    "fontSize": SMALL_TEXT - 1,
                    "color": FAINT,
                },
                "encoding": {
                    "text": {"field": "note", "type": "nominal"},
                    "x": {"value": MARGIN - left},
                    "y": {"value": plot_height + AXIS_ROOM + below + NOTE_LINE * (n + 1) - 6},
                },
            }
        )
    height = plot_height + padding["top"] + padding["bottom"]
    spec = base(width, plot_height, layers) | {"padding": padding}
    return Chart(name, title, listed(title, said), WIDTH, height, spec)


def listed(title: str, said: Sequence[str]) -> str:
    return f"{title}: {'; '.join(said)}."


def base(width: float, height: float, layers: list[Spec]) -> Spec:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": width,
        "height": height,
        "padding": 0,
        "autosize": {"type": "none"},
        "background": None,
        "layer": [layer for layer in layers if layer["data"]["values"]],
        "config": CONFIG,
    }


CONFIG: Mapping[str, Any] = {
    "aria": False,
    "view": {"stroke": None},
    "font": "system-ui, sans-serif",
    "text": {"fontSize": TEXT},
    "axis": {
        "labelFontSize": SMALL_TEXT,
        "titleFontSize": SMALL_TEXT,
        "titleFontWeight": "normal",
        "labelColor": FAINT,
        "titleColor": FAINT,
        "gridColor": GRID,
        "domainColor": FAINT,
        "tickColor": GRID,
        "titlePadding": 4,
        "labelOverlap": "greedy",
    },
}


def axis(title: str, ticks: int = 6) -> Spec:
    return {"title": title, "tickCount": ticks, "format": ",.6~g"}


def px(field: str) -> Spec:
    """A position that is laid out already."""
    return {"field": field, "type": "quantitative", "scale": None, "axis": None}


def own(field: str) -> Spec:
    """A colour or dashes that each has."""
    return {"field": field, "type": "nominal", "scale": None, "legend": None}
