"""The charts of a comparison's result, each described once: pages, report and README draw them.

A description is a Vega-Lite specification. Its colours are the CSS variables of `pages.css`, so
that one drawing serves light and dark. Positions are laid out here in pixels, so that a drawing's
size is known before it is drawn, and no name, however long, moves anything.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, TypeVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from comparisons.pairs import COMPARISONS
from comparisons.result import QUANTILES, Measurement, Result, Timeline, figure, interval

Spec = dict[str, Any]
T = TypeVar("T")
K = TypeVar("K")

WIDTH = 480  # of every chart but the small: what a phone nearly has
MOST_ROWS, MOST_LANES, MOST_CURVES = 40, 6, 12
MARGIN = 14  # left and right: half of an axis's label
TEXT, SMALL_TEXT = 13, 12  # px
INK, FAINT, GRID = "var(--text)", "var(--muted)", "var(--line)"
# A ceiling that is further away is not drawn: it would make the bars short.
FAR = 2.5
# What lies below another can be seen.
THICK = {"sync": 4, "pitfall": 3, "async": 2}
DASHES: list[list[int]] = [[1, 0], [7, 3], [2, 2], [10, 3, 2, 3], [4, 4], [1, 4]]


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

    @property
    def kind(self) -> str:
        if self.pitfall:
            return "pitfall"
        return "async" if self.measured.variant.startswith("async") else "sync"

    @property
    def colour(self) -> str:
        return f"var(--{self.kind})"

    @property
    def named(self) -> str:
        """The label with the word for what colour alone would say."""
        return _("{variant} (pitfall)").format(variant=self.label) if self.pitfall else self.label


@dataclass(frozen=True)
class Quantity:
    """What bars can show of a measurement. unit: after a figure."""

    title: Any
    unit: Any
    of: Callable[[Measurement], float | None]


def _grown_mb(row: Measurement) -> float | None:
    peak, idle = row.server.rss_mb, row.server.idle_mb
    return None if peak is None or idle is None else max(peak - idle, 0)


def _percent_failed(row: Measurement) -> float | None:
    return None if row.share_failed is None else 100 * row.share_failed


THROUGHPUT = Quantity(
    gettext_lazy("Requests served"), gettext_lazy("requests/s"), lambda row: row.throughput.mean
)
# What has a chart only where it is the question: by the metric that an expectation names.
ASKED = {
    "memory": Quantity(
        gettext_lazy("Memory that the server grew by"), gettext_lazy("MB"), _grown_mb
    ),
    "threads": Quantity(
        gettext_lazy("Threads of the server, at most"),
        gettext_lazy("threads"),
        lambda row: row.server.threads,
    ),
    "connections": Quantity(
        gettext_lazy("Connections to Postgres, at most"),
        gettext_lazy("connections"),
        lambda row: row.server.db_connections,
    ),
    "queries": Quantity(
        gettext_lazy("Queries that Postgres runs at once, at most"),
        gettext_lazy("queries"),
        lambda row: row.server.queries,
    ),
    "transactions": Quantity(
        gettext_lazy("Transactions open at once, at most"),
        gettext_lazy("transactions"),
        lambda row: row.server.transactions,
    ),
    "upstream_calls": Quantity(
        gettext_lazy("Calls that the upstream is busy with at once, at most"),
        gettext_lazy("calls"),
        lambda row: row.server.upstream_calls,
    ),
    "cpu_per_request": Quantity(
        gettext_lazy("CPU time of the server for each request"),
        gettext_lazy("ms"),
        lambda row: row.server.cpu_ms_per_request,
    ),
    "pool_wait": Quantity(
        gettext_lazy("Wait for a connection from the pool, on average"),
        gettext_lazy("ms"),
        lambda row: row.server.pool_wait_ms,
    ),
    "failures": Quantity(
        gettext_lazy("Requests that failed"), gettext_lazy("% of all"), _percent_failed
    ),
    "busiest_worker": Quantity(
        gettext_lazy("CPU time of the busiest worker"),
        gettext_lazy("times the average worker's"),
        lambda row: row.server.busiest_worker,
    ),
}


def charts_of(result: Result, slug: str) -> list[Chart]:
    """All charts of one comparison; those that the result has nothing for are left out."""
    rows = rows_of(result, slug)
    if not rows:
        return []
    asked = _asked_metrics(result, slug)
    waiting = any(row.measured.waiting for row in rows)
    one_case = _of_one_case(rows)
    found: list[Chart | None] = [_timeline(_most_telling(one_case, result, slug))]
    if not waiting:
        found += [_throughput(rows), *_sweeps("sweep", THROUGHPUT, rows, slug), _latency(one_case)]
    found.append(_bystander(rows))
    for metric, quantity in ASKED.items():
        if metric in asked or (waiting and metric in ("memory", "threads")):
            found += _sweeps(metric, quantity, rows, slug, fewest=3) or [
                _bars(metric, quantity, rows)
            ]
    return [chart for chart in found if chart]


def rows_of(result: Result, slug: str) -> list[Row]:
    """A comparison's measurements, each with a label of its own."""
    measured = [row for row in result.measurements if row.comparison == slug]
    pitfalls = _pitfalls(result, slug)
    many_users = len({row.users for row in measured}) > 1
    many_distances = len({row.round_trip for row in measured}) > 1
    deployments = {(row.variant, row.deployment) for row in measured}
    variants = [variant for variant, _deployment in deployments]
    rows = []
    for row in measured:
        words = [row.variant]
        if variants.count(row.variant) > 1:
            words.append(row.deployment)
        if many_users:
            words.append(_users(row.users))
        if many_distances:
            words.append(_away(row.round_trip))
        rows.append(Row(row, ", ".join(words), row.variant in pitfalls))
    return rows


def _users(users: int) -> str:
    return ngettext("{users} user", "{users} users", users).format(users=f"{users:,}")


def _away(round_trip: float) -> str:
    return _("{ms} ms away").format(ms=f"{round_trip:g}")


def _pitfalls(result: Result, slug: str) -> set[str]:
    """As the file says; of an older one as the comparison is declared today."""
    for declared in result.declared:
        if declared.get("comparison") == slug and "pitfalls" in declared:
            return {str(name) for name in declared["pitfalls"]}
    if slug not in COMPARISONS:
        return set()
    return {variant.name for variant in COMPARISONS[slug].variants if variant.pitfall}


def _asked_metrics(result: Result, slug: str) -> set[str]:
    of_slug = [verdict for verdict in result.verdicts if verdict.comparison == slug]
    return {verdict.expected.metric for verdict in of_slug if verdict.expected}


def _of_one_case(rows: Sequence[Row]) -> list[Row]:
    """Rows that can be compared: of the case that has most, the last of equals.

    Where each variant is in one case only, all.
    """
    variants = [(row.measured.variant, row.measured.deployment) for row in rows]
    if len(set(variants)) == len(variants):
        return list(rows)
    cases = {
        case: list(of_case)
        for case, of_case in groupby(
            rows, key=lambda row: (row.measured.users, row.measured.round_trip)
        )
    }
    return max(reversed(cases.values()), key=len)


def _most_telling(rows: Sequence[Row], result: Result, slug: str) -> list[Row]:
    """At most MOST_LANES of them: pitfalls, then what expectations speak of, in their order."""
    spoken: list[str] = []
    for verdict in result.verdicts:
        if verdict.comparison == slug and verdict.expected:
            spoken += [verdict.expected.variant, verdict.expected.of or ""]

    def rank(row: Row) -> tuple[bool, int]:
        name = row.measured.variant
        return not row.pitfall, spoken.index(name) if name in spoken else len(spoken)

    chosen = sorted(rows, key=rank)[:MOST_LANES]
    return [row for row in rows if row in chosen]


# --- Bars


LINE, BAR, STEP = 15, 12, 37  # px of a row: its words, its bar, both and what is between rows
BAR_TOP = LINE + 4


def _bars(name: str, quantity: Quantity, rows: Sequence[Row]) -> Chart | None:
    """A zero-based bar for each row, below its name and its figure."""
    if not any(row.measured.valid and quantity.of(row.measured) is not None for row in rows):
        return None
    values = [
        _bar(place, row, quantity.of(row.measured), figure(quantity.of(row.measured)))
        for place, row in enumerate(rows[:MOST_ROWS])
    ]
    said = [f"{value['said']} {value['figure']}" for value in values]
    return _bar_chart(name, str(quantity.title), str(quantity.unit), rows, values, said)


def _throughput(rows: Sequence[Row]) -> Chart | None:
    if not any(row.measured.valid and row.measured.throughput.mean is not None for row in rows):
        return None
    shown = rows[:MOST_ROWS]
    longest = max((_end(row) for row in shown if row.measured.valid), default=0)
    values, said = [], []
    for place, row in enumerate(shown):
        rate, ceiling = row.measured.throughput, row.measured.ceiling
        sure = f" ({interval(rate.low, rate.high)})" if rate.low is not None else ""
        value = _bar(place, row, rate.mean, figure(rate.mean) + sure)
        if row.measured.valid:
            value |= {"low": rate.low, "high": rate.high}
            if ceiling is not None and ceiling <= FAR * longest:
                value["ceiling"] = ceiling
        values.append(value)
        words = f"{value['said']} {value['figure']}"
        if ceiling is not None and row.measured.valid:
            words += " " + _("of at most {ceiling}").format(ceiling=figure(ceiling))
        said.append(words)
    key = [_("thin line: where the true rate lies, 95 % sure")]
    if any("ceiling" in value for value in values):
        key.append(_("tall mark: the ceiling, what the work allows"))
    return _bar_chart(
        "throughput",
        str(THROUGHPUT.title),
        str(THROUGHPUT.unit),
        rows,
        values,
        said,
        key,
    )


def _end(row: Row) -> float:
    return max(row.measured.throughput.mean or 0, row.measured.throughput.high or 0)


def _bystander(rows: Sequence[Row]) -> Chart | None:
    """The median as a bar, and how far the typical longest of a round reaches."""
    waits = [row.measured.bystander_ms for row in rows]
    if all(row.measured.bystander_ms.p50 is None for row in rows if row.measured.valid):
        return None
    values, said = [], []
    for place, (row, wait) in enumerate(zip(rows[:MOST_ROWS], waits, strict=False)):
        longest = wait.typical_longest
        words = _("{median}, longest {longest}").format(
            median=figure(wait.p50), longest=figure(longest)
        )
        value = _bar(place, row, wait.p50, words)
        if row.measured.valid and longest is not None:
            value |= {"low": wait.p50, "high": longest, "dot": longest}
        values.append(value)
        said.append(f"{value['said']} {value['figure']}")
    return _bar_chart(
        "bystander",
        _("A bystander's wait"),
        _("ms"),
        rows,
        values,
        said,
        [_("bar: the median; dot: the longest of a round, typically")],
    )


def _bar(place: int, row: Row, value: float | None, words: str) -> Spec:
    top = place * STEP
    if not row.measured.valid:
        value, words = None, _("not measured well enough")
    return {
        "said": row.named,
        "figure": words,
        "zero": 0,
        "value": value,
        "colour": row.colour,
        "base": top + LINE - 3,
        "top": top + BAR_TOP,
        "bottom": top + BAR_TOP + BAR,
        "over": top + BAR_TOP - 3,
        "under": top + BAR_TOP + BAR + 3,
        "middle": top + BAR_TOP + BAR / 2,
    }


def _bar_chart(
    name: str,
    title: str,
    unit: str,
    rows: Sequence[Row],
    values: Sequence[Spec],
    said: Sequence[str],
    key: Sequence[str] = (),
) -> Chart:
    drawn = [value for value in values if value["value"] is not None]
    ends = [value.get(end) or 0 for value in drawn for end in ("value", "high", "ceiling")]
    x = {"type": "quantitative", "scale": {"domain": [0, 1.02 * max(ends, default=0) or 1]}}
    height = len(values) * STEP
    left_out = len(rows) - len(values)
    notes = list(key)
    if left_out > 0:
        notes.append(
            ngettext("{count} more is not drawn", "{count} more are not drawn", left_out).format(
                count=f"{left_out:,}"
            )
        )
    layers: list[Spec] = [
        {
            "data": {"values": drawn},
            "mark": {"type": "rect"},
            "encoding": {
                "x": x | {"field": "zero", "axis": _axis(unit)},
                "x2": {"field": "value"},
                "y": _px("top"),
                "y2": {"field": "bottom"},
                "color": _own("colour"),
            },
        },
        _rules(drawn, x, "low", "high", INK, 2),
        {
            "data": {"values": [value for value in drawn if "ceiling" in value]},
            "mark": {"type": "rule", "strokeWidth": 3, "color": INK},
            "encoding": {
                "x": x | {"field": "ceiling"},
                "y": _px("over"),
                "y2": {"field": "under"},
            },
        },
        {
            "data": {"values": [value for value in drawn if "dot" in value]},
            "mark": {"type": "circle", "size": 50, "opacity": 1, "color": INK},
            "encoding": {"x": x | {"field": "dot"}, "y": _px("middle")},
        },
        _texts(values, "said", {"value": 0}, "left", INK, WIDTH * 0.62),
        _texts(values, "figure", {"value": WIDTH - 2 * MARGIN}, "right", FAINT, WIDTH * 0.6),
    ]
    return _chart(name, title, said, height, layers, notes)


def _rules(values: Sequence[Spec], x: Spec, low: str, high: str, colour: str, width: int) -> Spec:
    return {
        "data": {"values": [v for v in values if None not in (v.get(low), v.get(high))]},
        "mark": {"type": "rule", "strokeWidth": width, "color": colour},
        "encoding": {"x": x | {"field": low}, "x2": {"field": high}, "y": _px("middle")},
    }


def _texts(
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
        "encoding": {"text": {"field": field, "type": "nominal"}, "x": x, "y": _px("base")},
    }


# --- Curves


@dataclass(frozen=True)
class Curve:
    row: Row
    label: str
    points: list[Spec]  # x, y; low and high where there is an interval


def _latency(rows: Sequence[Row]) -> Chart | None:
    """The share of answers that have come after so many ms; a curve for each row."""
    known = [row for row in rows if row.measured.valid and row.measured.distribution]
    if not known:
        return _quantile_bars(rows)
    curves = [
        Curve(
            row,
            row.named,
            [
                {"x": max(ms, 0.01), "y": percent}
                for ms, percent in zip(row.measured.distribution or [], QUANTILES, strict=True)
            ],
        )
        for row in known[:MOST_CURVES]
    ]
    said = [
        _("{variant}: half after {p50} ms, 99 % after {p99} ms").format(
            variant=row.named,
            p50=figure(row.measured.latency_ms.p50),
            p99=figure(row.measured.latency_ms.p99),
        )
        for row in known
    ]
    return _curve_chart(
        "latency",
        _("Answers that have come after so long"),
        said,
        curves,
        _("ms (logarithmic)"),
        _("% of answers"),
        (0, 100),
        logarithmic=10,
        points=False,
    )


def _quantile_bars(rows: Sequence[Row]) -> Chart | None:
    """Of an older file that has no more: the median, and how far the 99th percentile is."""
    values, said = [], []
    for place, row in enumerate(rows[:MOST_ROWS]):
        p50, p99 = row.measured.latency_ms.p50, row.measured.latency_ms.p99
        words = _("{p50}, 99 % within {p99}").format(p50=figure(p50), p99=figure(p99))
        value = _bar(place, row, p50, words)
        if row.measured.valid and p99 is not None:
            value |= {"low": p50, "high": p99, "dot": p99}
        values.append(value)
        said.append(f"{value['said']} {value['figure']}")
    if all(value["value"] is None for value in values):
        return None
    key = [_("bar: the median; dot: 99 of 100 answers take at most so long")]
    return _bar_chart("latency", _("Time to answer"), _("ms"), rows, values, said, key)


def _sweeps(
    name: str, quantity: Quantity, rows: Sequence[Row], slug: str, fewest: int = 2
) -> list[Chart]:
    """A curve for each variant over what its cases, or a series of variants, have of one thing."""
    series: list[tuple[str, list[tuple[float, Row]], str]] = []
    users = sorted({row.measured.users for row in rows})
    distances = sorted({row.measured.round_trip for row in rows})
    of_variant = _grouped(rows, lambda row: (row.measured.variant, row.measured.deployment))
    if len(distances) >= fewest and len(users) == 1:
        title = _("distance to the services, ms")
        series = [
            (v, [(r.measured.round_trip, r) for r in of], title) for (v, _d), of in of_variant
        ]
    elif len(users) >= fewest and len(distances) == 1:
        title = _("users")
        series = [(v, [(r.measured.users, r) for r in of], title) for (v, _d), of in of_variant]
    else:
        numbered = [(row, re.fullmatch(r"(.*?)_?(\d{1,9})", row.measured.variant)) for row in rows]
        found = [(row, match) for row, match in numbered if match]
        for stem, of_stem in _grouped(found, lambda pair: pair[1][1]):
            points = [(float(match[2]), row) for row, match in of_stem]
            series.append((stem, points, slug.replace("-", " ")))
    if max((len(points) for _label, points, _title in series), default=0) < max(fewest, 2):
        return []
    curves, said = [], []
    for label, points, _title in series[:MOST_CURVES]:
        known = [(x, row) for x, row in sorted(points, key=lambda p: p[0]) if row.measured.valid]
        drawn = [_point(x, quantity, row) for x, row in known]
        drawn = [point for point in drawn if point["y"] is not None]
        if drawn:
            first = known[0][1]
            named = replace(first, label=label).named
            curves.append(Curve(first, named, drawn))
            values = ", ".join(f"{figure(p['y'])} ({p['x']:g})" for p in drawn)
            said.append(f"{named}: {values}")
    if not curves or max(len(curve.points) for curve in curves) < 2:
        return []
    xs = [point["x"] for curve in curves for point in curve.points]
    base = 0 if min(xs) <= 0 or max(xs) < 8 * min(xs) else 10 if max(xs) >= 500 else 2
    top = max(p.get("high") or p["y"] for curve in curves for p in curve.points)
    return [
        _curve_chart(
            name,
            _("{quantity}, by {what}").format(quantity=quantity.title, what=series[0][2]),
            said,
            curves,
            series[0][2] + (" " + _("(logarithmic)") if base else ""),
            str(quantity.unit),
            (0, 1.05 * top or 1),
            logarithmic=base,
            points=True,
        )
    ]


def _point(x: float, quantity: Quantity, row: Row) -> Spec:
    point: Spec = {"x": x, "y": quantity.of(row.measured)}
    rate = row.measured.throughput
    if quantity is THROUGHPUT and None not in (rate.low, rate.high):
        point |= {"low": rate.low, "high": rate.high}
    return point


def _grouped(things: Iterable[T], key: Callable[[T], K]) -> list[tuple[K, list[T]]]:
    groups: dict[K, list[T]] = {}
    for thing in things:
        groups.setdefault(key(thing), []).append(thing)
    return list(groups.items())


PLOT = 190  # px high
LONG = 24  # characters of a label that leave no room for another beside it
LEGEND_LINE = 19


def _curve_chart(
    name: str,
    title: str,
    said: Sequence[str],
    curves: Sequence[Curve],
    x_title: str,
    y_title: str,
    y_domain: tuple[float, float],
    *,
    logarithmic: int,  # the base; 0 is linear
    points: bool,
) -> Chart:
    """Curves above a legend; those of one kind have its colour, and dashes of their own."""
    seen: dict[str, int] = {}
    values, legend = [], []
    xs = [point["x"] for curve in curves for point in curve.points]
    low, high = min(xs), max(xs)
    if low == high:
        low, high = (low / 2, low * 2) if logarithmic else (low - 1, low + 1)
    per_px = (y_domain[1] - y_domain[0]) / PLOT
    columns = 1 if any(len(curve.label) > LONG for curve in curves) else 2
    lines = -(-len(curves) // columns)
    for place, curve in enumerate(curves):
        dash = DASHES[seen.get(curve.row.kind, 0) % len(DASHES)]
        seen[curve.row.kind] = seen.get(curve.row.kind, 0) + 1
        look = {
            "name": f"{place}",
            "colour": curve.row.colour,
            "dash": dash,
            "width": THICK[curve.row.kind],
        }
        values += [point | look for point in curve.points]
        down = AXIS_ROOM + 12 + LEGEND_LINE * (place % lines)
        legend.append((place // lines, look | {"label": curve.label, "y": -down * per_px}))
    x: Spec = {
        "field": "x",
        "type": "quantitative",
        "axis": _axis(x_title, 6),
        "scale": {"domain": [low, high], "nice": False, "zero": False}
        | ({"type": "log", "base": logarithmic} if logarithmic else {}),
    }
    if points:
        x["axis"]["values"] = sorted(set(xs))
    y: Spec = {"type": "quantitative", "scale": {"domain": list(y_domain), "nice": False}}
    on_top = {"titleAngle": 0, "titleAlign": "left", "titleX": 8 - Y_ROOM, "titleY": -8}
    look = {
        "color": _own("colour"),
        "strokeDash": _own("dash"),
        "strokeWidth": {"field": "width", "type": "quantitative", "scale": None},
    }
    layers: list[Spec] = [
        {
            "data": {"values": values},
            "mark": {"type": "line"},
            "encoding": {
                "x": x,
                "y": y | {"field": "y", "axis": _axis(y_title, 5) | on_top},
                "detail": {"field": "name", "type": "nominal"},
                **look,
            },
        }
    ]
    if points:
        layers += [
            {
                "data": {"values": [value for value in values if "low" in value]},
                "mark": {"type": "rule", "strokeWidth": 2, "color": INK},
                "encoding": {"x": x, "y": y | {"field": "low"}, "y2": {"field": "high"}},
            },
            {
                "data": {"values": values},
                "mark": {"type": "circle", "size": 40, "opacity": 1},
                "encoding": {"x": x, "y": y | {"field": "y"}, "color": _own("colour")},
            },
        ]
    column = (WIDTH - 2 * MARGIN) / columns
    for n in range(columns):
        begin = n * column - (Y_ROOM - MARGIN)
        of_column = [value for in_column, value in legend if in_column == n]
        layers += [
            {
                "data": {"values": of_column},
                "mark": {"type": "rule"},
                "encoding": {
                    "x": {"value": begin},
                    "x2": {"value": begin + 24},
                    "y": y | {"field": "y"},
                    **look,
                },
            },
            {
                "data": {"values": of_column},
                "mark": {
                    "type": "text",
                    "align": "left",
                    "baseline": "middle",
                    "limit": column - 40,
                    "color": INK,
                },
                "encoding": {
                    "text": {"field": "label", "type": "nominal"},
                    "x": {"value": begin + 30},
                    "y": y | {"field": "y"},
                },
            },
        ]
    return _chart(
        name, title, said, PLOT, layers, below=12 + LEGEND_LINE * lines, left=Y_ROOM, top=26
    )


# --- The timeline


LANE, CALLS = 84, 24  # px high, at most
LANE_GAP = 12


def _timeline(rows: Sequence[Row]) -> Chart | None:
    """A lane for each row: its requests, each a bar, and the bystander's calls below."""
    timelines = {
        row.label: row.measured.timeline
        for row in rows
        if row.measured.valid and row.measured.timeline and row.measured.timeline.requests
    }
    if not timelines:
        return None
    rows = [row for row in rows if row.label in timelines or not row.measured.valid]
    begin = min(timeline.start for timeline in timelines.values())
    end = max(timeline.end for timeline in timelines.values())
    per_px = (end - begin) / (WIDTH - 2 * MARGIN) or 1
    bars: list[Spec] = []
    texts: list[Spec] = []
    said: list[str] = []
    top = 0.0
    for row in rows:
        timeline = timelines.get(row.label)
        counted = _counted(timeline) if timeline else _("not measured well enough")
        texts.append({"said": row.named, "figure": counted, "base": top + LINE - 3})
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
    x: Spec = {"type": "quantitative", "scale": {"domain": [0, end - begin], "nice": False}}
    for bar in bars:
        bar["from"] -= begin
        bar["to"] -= begin
    layers: list[Spec] = [
        {
            "data": {"values": [bar for bar in bars if bar["failed"] == failed]},
            "mark": {"type": "rect", "opacity": 0.4 if failed else 1},
            "encoding": {
                "x": x | {"field": "from", "axis": _axis(_("ms"))},
                "x2": {"field": "to"},
                "y": _px("top"),
                "y2": {"field": "bottom"},
                "color": _own("colour"),
            },
        }
        for failed in (False, True)
    ]
    layers += [
        _texts(texts, "said", {"value": 0}, "left", INK, WIDTH * 0.6),
        _texts(texts, "figure", {"value": WIDTH - 2 * MARGIN}, "right", FAINT, WIDTH * 0.6),
    ]
    notes = [_("a bar is a request, with a row for each under way (pale: it failed)")]
    if any(timeline.bystander for timeline in timelines.values()):
        notes.append(_("grey, below: the calls of a bystander"))
    return _chart("timeline", _("One round, request by request"), said, round(top), layers, notes)


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
        begin, end = max(start, within.start), min(start + duration, within.end)
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
            drawn=f"{drawn:,}", count=f"{timeline.of:,}"
        )
    return ngettext("{count} request", "{count} requests", drawn).format(count=f"{drawn:,}")


def _told(timeline: Timeline) -> str:
    durations = sorted(duration for _start, duration, *_failed in timeline.requests)
    told = _("{requests} in {length} ms, the longest of {longest} ms").format(
        requests=_counted(timeline),
        length=figure(timeline.end - timeline.start),
        longest=figure(durations[-1]),
    )
    if timeline.bystander:
        longest = max(duration for _start, duration in timeline.bystander)
        told += "; " + _("a bystander waits up to {ms} ms").format(ms=figure(longest))
    return told


# --- Small


SMALL_WIDTH, SMALL_HEIGHT = 220, 60


def small(result: Result, slug: str) -> Chart | None:
    """Bars alone, of the first case: what variants serve; where all wait, what each request takes.

    None if the result has nothing to draw.
    """
    rows = rows_of(result, slug)
    if not rows:
        return None
    first = rows[0].measured
    rows = [
        row
        for row in rows[:MOST_ROWS]
        if (row.measured.users, row.measured.round_trip) == (first.users, first.round_trip)
    ]
    quantity = THROUGHPUT if not first.waiting else ASKED["memory"]
    known = [(row, quantity.of(row.measured) if row.measured.valid else None) for row in rows]
    longest = max((value or 0 for _row, value in known), default=0)
    if not longest:
        return None
    height = min(SMALL_HEIGHT / len(rows), 15)
    size = round(min(height + 2, 12))
    bars, marks = [], []
    for place, (row, value) in enumerate(known):
        end = (SMALL_WIDTH - 16) * (value or 0) / longest
        bars.append(
            {
                "from": 0,
                "to": round(max(end, 1 if value else 0), 1),
                "top": round(place * height, 1),
                "bottom": round((place + 1) * height - min(2, height / 4), 1),
                "colour": row.colour,
            }
        )
        if row.pitfall or value is None:
            middle = (place + 0.5) * height
            mark = "⚠\N{VARIATION SELECTOR-15}" if value is not None else "–"
            marks.append({"mark": mark, "x": end + 3, "y": round(middle, 1), "colour": row.colour})
    layers: list[Spec] = [
        {
            "data": {"values": bars},
            "mark": {"type": "rect"},
            "encoding": {
                "x": _px("from"),
                "x2": {"field": "to"},
                "y": _px("top"),
                "y2": {"field": "bottom"},
                "color": _own("colour"),
            },
        },
        {
            "data": {"values": marks},
            "mark": {"type": "text", "align": "left", "baseline": "middle", "fontSize": size},
            "encoding": {
                "text": {"field": "mark", "type": "nominal"},
                "x": _px("x"),
                "y": _px("y"),
                "color": _own("colour"),
            },
        },
    ]
    said = [
        f"{row.named} {_('not measured well enough') if value is None else figure(value)}"
        for row, value in known
    ]
    title = f"{quantity.title}, {quantity.unit}"
    spec = _base(SMALL_WIDTH, SMALL_HEIGHT, layers)
    return Chart("small", title, _listed(title, said), SMALL_WIDTH, SMALL_HEIGHT, spec)


# --- What all have


AXIS_ROOM, Y_ROOM, NOTE_LINE = 42, 58, 17


def _chart(
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
                    "limit": width,
                    "fontSize": SMALL_TEXT - 1,
                    "color": FAINT,
                },
                "encoding": {
                    "text": {"field": "note", "type": "nominal"},
                    "x": {"value": 0},
                    "y": {"value": plot_height + AXIS_ROOM + NOTE_LINE * (n + 1) - 6},
                },
            }
        )
    height = plot_height + padding["top"] + padding["bottom"]
    spec = _base(width, plot_height, layers) | {"padding": padding}
    return Chart(name, title, _listed(title, said), WIDTH, height, spec)


def _listed(title: str, said: Sequence[str]) -> str:
    return f"{title}: {'; '.join(said)}."


def _base(width: float, height: float, layers: list[Spec]) -> Spec:
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


def _axis(title: str, ticks: int = 6) -> Spec:
    return {"title": title, "tickCount": ticks, "format": ",.6~g"}


def _px(field: str) -> Spec:
    """A position that is laid out already."""
    return {"field": field, "type": "quantitative", "scale": None, "axis": None}


def _own(field: str) -> Spec:
    """A colour or dashes that each has."""
    return {"field": field, "type": "nominal", "scale": None, "legend": None}
