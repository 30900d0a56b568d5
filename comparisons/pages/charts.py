"""The charts of a comparison's result, each described once: pages, report and README draw them.

A description is a Vega-Lite specification; see `marks` for what it is made of.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, TypeVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from comparisons.advice import ADVICE
from comparisons.pages.marks import (
    AXIS_ROOM,
    FAINT,
    INK,
    LINE,
    MARGIN,
    SMALL_TEXT,
    WIDTH,
    Y_ROOM,
    Chart,
    Row,
    Spec,
    axis,
    base,
    laid_out,
    listed,
    own,
    px,
    texts,
)
from comparisons.pages.timeline import timeline_of
from comparisons.pairs import COMPARISONS
from comparisons.result import (
    MISSING,
    QUANTILES,
    Measurement,
    Result,
    figure,
    in_digits,
    interval,
)

T = TypeVar("T")
K = TypeVar("K")

MOST_ROWS, MOST_LANES, MOST_CURVES = 40, 6, 12
# A ceiling that is further away is not drawn: it would make the bars short.
FAR = 2.5
# What lies below another can be seen.
THICK = {"sync": 4, "pitfall": 3, "async": 2}
DASHES: list[list[int]] = [[1, 0], [7, 3], [2, 2], [10, 3, 2, 3], [4, 4], [1, 4]]


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
    found: list[Chart | None] = [timeline_of(_most_telling(one_case, result, slug))]
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
    on_loop = _on_loop(result, slug)
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
        rows.append(Row(row, ", ".join(words), row.variant in pitfalls, row.variant in on_loop))
    return rows


def _users(users: int) -> str:
    return ngettext("{users} user", "{users} users", users).format(users=in_digits(f"{users:,}"))


def _away(round_trip: float) -> str:
    return _("{ms} ms away").format(ms=in_digits(f"{round_trip:g}"))


def _pitfalls(result: Result, slug: str) -> set[str]:
    """As the file says; of an older one as the comparison is declared today."""
    for declared in result.declared:
        if declared.get("comparison") == slug and "pitfalls" in declared:
            return {str(name) for name in declared["pitfalls"]}
    if slug not in COMPARISONS:
        return set()
    return {variant.name for variant in COMPARISONS[slug].variants if variant.pitfall}


def _on_loop(result: Result, slug: str) -> set[str]:
    candidates = result.advice.candidates if result.advice and slug == ADVICE else ()
    return {one.name for one in candidates if one.interface == "asgi"}


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


BAR, STEP = 12, 37  # px of a row: its bar; its words, its bar and what is between rows
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
                count=in_digits(f"{left_out:,}")
            )
        )
    layers: list[Spec] = [
        {
            "data": {"values": drawn},
            "mark": {"type": "rect"},
            "encoding": {
                "x": x | {"field": "zero", "axis": axis(unit)},
                "x2": {"field": "value"},
                "y": px("top"),
                "y2": {"field": "bottom"},
                "color": own("colour"),
            },
        },
        _rules(drawn, x, "low", "high", INK, 2),
        {
            "data": {"values": [value for value in drawn if "ceiling" in value]},
            "mark": {"type": "rule", "strokeWidth": 3, "color": INK},
            "encoding": {
                "x": x | {"field": "ceiling"},
                "y": px("over"),
                "y2": {"field": "under"},
            },
        },
        {
            "data": {"values": [value for value in drawn if "dot" in value]},
            "mark": {"type": "circle", "size": 50, "opacity": 1, "color": INK},
            "encoding": {"x": x | {"field": "dot"}, "y": px("middle")},
        },
        texts(values, "said", {"value": 0}, "left", INK, WIDTH * 0.62),
        texts(values, "figure", {"value": WIDTH - 2 * MARGIN}, "right", FAINT, WIDTH * 0.6),
    ]
    return laid_out(name, title, said, height, layers, notes)


def _rules(values: Sequence[Spec], x: Spec, low: str, high: str, colour: str, width: int) -> Spec:
    return {
        "data": {"values": [v for v in values if None not in (v.get(low), v.get(high))]},
        "mark": {"type": "rule", "strokeWidth": width, "color": colour},
        "encoding": {"x": x | {"field": low}, "x2": {"field": high}, "y": px("middle")},
    }


# --- Curves


@dataclass(frozen=True)
class Curve:
    """kind: of a row. points: x, y; low and high of an interval; ring where it is marked."""

    kind: str
    label: str
    points: list[Spec]


def _latency(rows: Sequence[Row]) -> Chart | None:
    """The share of answers that have come after so many ms; a curve for each row."""
    known = [row for row in rows if row.measured.valid and row.measured.distribution]
    if not known:
        return _quantile_bars(rows)
    curves = [
        Curve(
            row.kind,
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
    return curve_chart(
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
        title = _("number of users")
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
            curves.append(Curve(first.kind, named, drawn))
            values = ", ".join(f"{figure(p['y'])} ({figure(p['x'])})" for p in drawn)
            said.append(f"{named}: {values}")
    if not curves or max(len(curve.points) for curve in curves) < 2:
        return []
    base = base_of(curves)
    top = max(p.get("high") or p["y"] for curve in curves for p in curve.points)
    return [
        curve_chart(
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


def base_of(curves: Sequence[Curve]) -> int:
    """Return the base of the logarithms that x is drawn by; 0 is none."""
    xs = [point["x"] for curve in curves for point in curve.points]
    return 0 if min(xs) <= 0 or max(xs) < 8 * min(xs) else 10 if max(xs) >= 500 else 2


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
LONG = 27  # characters of a label that leave no room for another beside it
LEGEND_LINE = 19


def curve_chart(
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
    notes: Sequence[str] = (),
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
        dash = DASHES[seen.get(curve.kind, 0) % len(DASHES)]
        seen[curve.kind] = seen.get(curve.kind, 0) + 1
        look = {
            "name": f"{place}",
            "colour": f"var(--{curve.kind})",
            "dash": dash,
            "width": THICK[curve.kind],
        }
        values += [point | look for point in curve.points]
        down = AXIS_ROOM + 12 + LEGEND_LINE * (place % lines)
        legend.append((place // lines, look | {"label": curve.label, "y": -down * per_px}))
    x: Spec = {
        "field": "x",
        "type": "quantitative",
        "axis": axis(x_title, 6),
        "scale": {"domain": [low, high], "nice": False, "zero": False}
        | ({"type": "log", "base": logarithmic} if logarithmic else {}),
    }
    if points:
        x["axis"]["values"] = sorted(set(xs))
    y: Spec = {"type": "quantitative", "scale": {"domain": list(y_domain), "nice": False}}
    on_top = {"titleAngle": 0, "titleAlign": "left", "titleX": 8 - Y_ROOM, "titleY": -8}
    look = {
        "color": own("colour"),
        "strokeDash": own("dash"),
        "strokeWidth": {"field": "width", "type": "quantitative", "scale": None},
    }
    layers: list[Spec] = [
        {
            "data": {"values": values},
            "mark": {"type": "line"},
            "encoding": {
                "x": x,
                "y": y | {"field": "y", "axis": axis(y_title, 5) | on_top},
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
                "encoding": {"x": x, "y": y | {"field": "y"}, "color": own("colour")},
            },
            {
                "data": {"values": [value for value in values if value.get("ring")]},
                "mark": {
                    "type": "point",
                    "shape": "circle",
                    "size": 220,
                    "filled": False,
                    "strokeWidth": 2,
                    "color": INK,
                },
                "encoding": {"x": x, "y": y | {"field": "y"}},
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
                    "limit": column - 34,
                    "fontSize": SMALL_TEXT,
                    "color": INK,
                },
                "encoding": {
                    "text": {"field": "label", "type": "nominal"},
                    "x": {"value": begin + 30},
                    "y": y | {"field": "y"},
                },
            },
        ]
    return laid_out(
        name,
        title,
        said,
        PLOT,
        layers,
        notes,
        below=12 + LEGEND_LINE * lines,
        left=Y_ROOM,
        top=26,
    )


# --- Small


SMALL_WIDTH, SMALL_ROW, SMALL_NAMES, MOST_SMALL = 320, 16, 148, 12


def small(result: Result, slug: str) -> Chart | None:
    """Names and bars, of the first case: what variants serve; where all wait, what that takes.

    None if the result has nothing to draw.
    """
    rows = rows_of(result, slug)
    if not rows:
        return None
    first = rows[0].measured
    rows = [
        row
        for row in rows
        if (row.measured.users, row.measured.round_trip) == (first.users, first.round_trip)
    ][:MOST_SMALL]
    quantity = THROUGHPUT if not first.waiting else ASKED["memory"]
    known = [(row, quantity.of(row.measured) if row.measured.valid else None) for row in rows]
    longest = max((value or 0 for _row, value in known), default=0)
    if not longest:
        return None
    bars, names, marks = [], [], []
    for place, (row, value) in enumerate(known):
        end = SMALL_NAMES + (SMALL_WIDTH - SMALL_NAMES - 18) * (value or 0) / longest
        top, middle = place * SMALL_ROW, (place + 0.5) * SMALL_ROW
        bars.append(
            {
                "from": SMALL_NAMES,
                "to": round(max(end, SMALL_NAMES + 1 if value else SMALL_NAMES), 1),
                "top": top + 2,
                "bottom": top + SMALL_ROW - 2,
                "colour": row.colour,
            }
        )
        names.append({"said": row.measured.variant, "base": middle + 4})
        if row.pitfall or value is None:
            mark = "⚠\N{VARIATION SELECTOR-15}" if value is not None else MISSING
            marks.append({"mark": mark, "x": end + 4, "y": middle, "colour": row.colour})
    layers: list[Spec] = [
        {
            "data": {"values": bars},
            "mark": {"type": "rect"},
            "encoding": {
                "x": px("from"),
                "x2": {"field": "to"},
                "y": px("top"),
                "y2": {"field": "bottom"},
                "color": own("colour"),
            },
        },
        {
            "data": {"values": marks},
            "mark": {"type": "text", "align": "left", "baseline": "middle", "fontSize": 12},
            "encoding": {
                "text": {"field": "mark", "type": "nominal"},
                "x": px("x"),
                "y": px("y"),
                "color": own("colour"),
            },
        },
    ]
    said = [
        f"{row.named} {_('not measured well enough') if value is None else figure(value)}"
        for row, value in known
    ]
    named = texts(names, "said", {"value": SMALL_NAMES - 6}, "right", INK, SMALL_NAMES - 6)
    named["mark"]["fontSize"] = 11
    title, height = f"{quantity.title}, {quantity.unit}", SMALL_ROW * len(rows)
    spec = base(SMALL_WIDTH, height, [*layers, named])
    return Chart("small", title, listed(title, said), SMALL_WIDTH, height, spec)
