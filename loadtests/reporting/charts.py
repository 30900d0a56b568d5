"""The README's pictures: panels that say what was found, with the bars that show it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from comparisons.pages.marks import FAINT, INK, Chart, Row, Spec, base, listed, own, px, texts
from comparisons.result import Measurement, figure

WIDTH = 826  # px: about what GitHub's README has
EDGE, COLUMNS = 20, 2
BETWEEN = 26  # between two panels, in either direction
NAMES, CHARACTER = 172, 7.5  # what bars are, before them; and what how long they are takes, after
HEAD, LEGEND = 44, 40
TITLES, STEP, BAR = 44, 25, 16  # of a panel: its two lines, a row, its bar
# Under all of it: GitHub's own colour may be dark where the reader's system is light.
PAGE = "var(--page)"


@dataclass(frozen=True)
class Bar:
    """One measured row, named in words."""

    words: str
    row: Measurement
    pitfall: bool = False

    @property
    def colour(self) -> str:
        return Row(self.row, self.words, self.pitfall).colour


@dataclass(frozen=True)
class Panel:
    """title: what was found; about: what every one of the bars does."""

    title: str
    about: str
    bars: Sequence[Bar]


def throughput(panels: Sequence[Panel]) -> Chart:
    """Draw the panels, with a bar for each row: its requests/s and their interval."""
    title = "Requests served per second, measured: longer is better"
    width = (WIDTH - 2 * EDGE - BETWEEN * (COLUMNS - 1)) / COLUMNS
    height = TITLES + STEP * max(len(panel.bars) for panel in panels)
    bars: list[Spec] = []
    headings: list[Spec] = [{"x": EDGE, "base": 30, "words": title}]
    abouts: list[Spec] = []
    said = []
    for place, panel in enumerate(panels):
        line, column = divmod(place, COLUMNS)
        left, top = EDGE + column * (width + BETWEEN), HEAD + line * (height + BETWEEN)
        headings.append({"x": left, "base": top + 16, "words": panel.title})
        abouts.append({"x": left, "base": top + 34, "words": panel.about})
        bars += _bars(panel, left, top + TITLES, width - NAMES)
        said.append(f"{panel.title} ({_said(panel)})")
    whole = HEAD + ceil(len(panels) / COLUMNS) * (height + BETWEEN) + LEGEND - 10
    layers = [*_drawn(bars), *_legend(whole - 18)]
    for values, size, weight in ((headings, 15, "bold"), (abouts, 13, "normal")):
        layer = texts(values, "words", px("x"), "left", INK if values is headings else FAINT, 420)
        layer["mark"] |= {"fontSize": size, "fontWeight": weight}
        layers.append(layer)
    spec = base(WIDTH, whole, layers) | {"background": PAGE}
    return Chart("findings", title, listed(title, said), WIDTH, whole, spec)


def _said(panel: Panel) -> str:
    return ", ".join(f"{bar.words}: {_figure(bar)}" for bar in panel.bars)


def _figure(bar: Bar) -> str:
    said = figure(bar.row.throughput.mean) if bar.row.valid else "not measured well enough"
    return said + ("  ← pitfall" if bar.pitfall else "")


def _end(bar: Bar) -> float:
    """Requests/s up to which something is drawn."""
    rate = bar.row.throughput
    return max(rate.mean or 0, rate.high or 0) if bar.row.valid else 0


def _width(bar: Bar) -> float:
    """Px, about, of what stands behind the bar."""
    return 6 + CHARACTER * len(_figure(bar))


def _bars(panel: Panel, left: float, top: float, room: float) -> list[Spec]:
    """A zero-based bar for each row; those of a panel have one scale."""
    zero = left + NAMES
    scales = ((room - _width(bar)) / _end(bar) for bar in panel.bars if _end(bar))
    scale = min(scales, default=0)
    laid = []
    for place, bar in enumerate(panel.bars):
        rate, row_top = bar.row.throughput, top + place * STEP
        known = bar.row.valid and rate.mean is not None
        sure = known and None not in (rate.low, rate.high)
        mean, low, high = (zero + scale * (end or 0) for end in (rate.mean, rate.low, rate.high))
        laid.append(
            {
                "words": bar.words,
                "name": zero - 8,
                "zero": zero,
                "mean": mean if known else None,
                "low": low if sure else None,
                "high": high if sure else None,
                "end": zero + scale * _end(bar) + 6,
                "figure": _figure(bar),
                "colour": bar.colour,
                "top": row_top,
                "bottom": row_top + BAR,
                "middle": row_top + BAR / 2,
                "base": row_top + BAR - 4,
            }
        )
    return laid


def _drawn(bars: Sequence[Spec]) -> list[Spec]:
    return [
        _rectangles([bar for bar in bars if bar["mean"] is not None], "zero", "mean"),
        {
            "data": {"values": [bar for bar in bars if bar["low"] is not None]},
            "mark": {"type": "rule", "strokeWidth": 2.5, "color": INK},
            "encoding": {"x": px("low"), "x2": {"field": "high"}, "y": px("middle")},
        },
        texts(bars, "words", px("name"), "right", INK, NAMES),
        texts(bars, "figure", px("end"), "left", INK, 200),
    ]


def _rectangles(values: Sequence[Spec], begin: str, end: str) -> Spec:
    return {
        "data": {"values": values},
        "mark": {"type": "rect"},
        "encoding": {
            "x": px(begin),
            "x2": {"field": end},
            "y": px("top"),
            "y2": {"field": "bottom"},
            "color": own("colour"),
        },
    }


def _legend(base_line: float) -> list[Spec]:
    entries = (
        ("sync view", "var(--sync)", 115),
        ("async view", "var(--async)", 122),
        ("pitfall: what not to do", "var(--pitfall)", 192),
        ("where the true rate lies, 95 % sure", INK, 0),
    )
    values: list[Spec] = []
    x = EDGE + 60
    for words, colour, wide in entries:
        values.append(
            {
                "words": words,
                "colour": colour,
                "from": x,
                "to": x + 18,
                "x": x + 26,
                "top": base_line - (10 if wide else 6),
                "bottom": base_line - (0 if wide else 3.5),
                "base": base_line,
            }
        )
        x += wide
    return [_rectangles(values, "from", "to"), texts(values, "words", px("x"), "left", FAINT, 300)]
