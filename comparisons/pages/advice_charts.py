"""The charts of what `advise` found: what a request is made of, and a server's saturation."""

from collections.abc import Callable, Sequence

from django.utils.translation import gettext as _

from comparisons.advice import Advice, Profile, Step, Sweep
from comparisons.advice_sentences import name_of
from comparisons.pages.charts import (
    BAR,
    BAR_TOP,
    LEGEND_LINE,
    MOST_ROWS,
    STEP,
    Curve,
    base_of,
    curve_chart,
)
from comparisons.pages.marks import (
    AXIS_ROOM,
    FAINT,
    INK,
    LINE,
    MARGIN,
    WIDTH,
    Chart,
    Spec,
    axis,
    laid_out,
    own,
    px,
    texts,
)
from comparisons.result import figure

REQUEST, SATURATION, SLOWEST = "request", "saturation", "slowest"
SWATCH = 10  # px


def charts_of_advice(advice: Advice) -> list[Chart]:
    """All of them; those that there is nothing for are left out."""
    found = [
        request_chart(advice.profiles),
        _sweep_chart(
            advice,
            SATURATION,
            _("Requests served, by number of users"),
            _("requests/s"),
            lambda step: step.throughput,
        ),
        _sweep_chart(
            advice,
            SLOWEST,
            _("Within how long 99 of 100 answers come, by number of users"),
            _("ms"),
            lambda step: step.p99_ms,
        ),
    ]
    return [chart for chart in found if chart]


# --- A request


def parts_of(profile: Profile) -> list[tuple[str, str, float]]:
    """What its time goes by with: each a name, a colour, and ms. Together they are all of it."""
    held = sum(line.ms - line.cpu_ms for line in profile.lines if line.kind == "holds")
    held = min(max(held, 0), profile.wait_ms)
    queries = min(profile.query_ms, profile.wait_ms - held)
    return [
        (_("CPU"), INK, profile.cpu_ms),
        (_("waits, and holds the event loop"), "var(--pitfall)", held),
        (_("waits for the database"), "var(--link)", queries),
        (_("waits otherwise"), "var(--edge)", profile.wait_ms - held - queries),
    ]


def request_chart(profiles: Sequence[Profile]) -> Chart | None:
    """A bar of its parts for each kind of request in each interface, above a legend."""
    if not any(profile.cpu_ms + profile.wait_ms for profile in profiles):
        return None
    shown = profiles[:MOST_ROWS]
    bars: list[Spec] = []
    rows: list[Spec] = []
    said = []
    seen: dict[str, str] = {}
    for place, profile in enumerate(shown):
        top, begin, words = place * STEP, 0.0, []
        for name, colour, ms in parts_of(profile):
            if ms <= 0:
                continue
            seen[name] = colour
            words.append(_("{part} {ms} ms").format(part=name, ms=figure(ms)))
            bars.append(
                {
                    "from": begin,
                    "to": begin + ms,
                    "colour": colour,
                    "top": top + BAR_TOP,
                    "bottom": top + BAR_TOP + BAR,
                }
            )
            begin += ms
        named = f"{profile.ask}, {profile.interface.upper()}"
        rows.append({"said": named, "figure": figure(begin), "base": top + LINE - 3})
        said.append(f"{named}: {', '.join(words)}")
    x = {
        "type": "quantitative",
        "scale": {"domain": [0, 1.02 * max(bar["to"] for bar in bars)]},
    }
    height = STEP * len(shown)
    layers: list[Spec] = [
        {
            "data": {"values": bars},
            "mark": {"type": "rect"},
            "encoding": {
                "x": x | {"field": "from", "axis": axis(_("ms"))},
                "x2": {"field": "to"},
                "y": px("top"),
                "y2": {"field": "bottom"},
                "color": own("colour"),
            },
        },
        texts(rows, "said", {"value": 0}, "left", INK, WIDTH * 0.75),
        texts(rows, "figure", {"value": WIDTH - 2 * MARGIN}, "right", FAINT, WIDTH * 0.2),
    ]
    lines = len(seen)
    swatches = []
    for place, (name, colour) in enumerate(seen.items()):
        base = height + AXIS_ROOM + LEGEND_LINE * (place + 1)
        swatches.append(
            {
                "label": name,
                "colour": colour,
                "from": 0,
                "to": SWATCH,
                "top": base - SWATCH,
                "bottom": base,
                "base": base,
            }
        )
    layers += [
        {
            "data": {"values": swatches},
            "mark": {"type": "rect"},
            "encoding": {
                "x": px("from"),
                "x2": {"field": "to"},
                "y": px("top"),
                "y2": {"field": "bottom"},
                "color": own("colour"),
            },
        },
        texts(swatches, "label", {"value": SWATCH + 8}, "left", INK, WIDTH - 2 * MARGIN - 20),
    ]
    title = _("What a request spends its time on")
    return laid_out(REQUEST, title, said, height, layers, below=6 + LEGEND_LINE * lines)


# --- Saturation


def _sweep_chart(
    advice: Advice, name: str, title: str, unit: str, of: Callable[[Step], float]
) -> Chart | None:
    """A curve for each candidate that was swept; a ring is around its knee."""
    interfaces = {one.name: one.interface for one in advice.candidates}
    curves, said = [], []
    for sweep in advice.sweeps:
        steps = sorted(sweep.steps, key=lambda step: step.users)
        if len({step.users for step in steps}) < 2:
            continue
        points: list[Spec] = [
            {"x": step.users, "y": of(step), "ring": step.users == sweep.knee} for step in steps
        ]
        kind = "async" if interfaces.get(sweep.candidate) == "asgi" else "sync"
        curves.append(Curve(kind, name_of(sweep.candidate), points))
        said.append(_said(sweep, points))
    if not curves:
        return None
    top = max(point["y"] for curve in curves for point in curve.points)
    base = base_of(curves)
    has_knee = any(point["ring"] for curve in curves for point in curve.points)
    return curve_chart(
        name,
        title,
        said,
        curves,
        _("number of users") + (" " + _("(logarithmic)") if base else ""),
        unit,
        (0, 1.05 * top or 1),
        logarithmic=base,
        points=True,
        notes=[_("ring: the knee, from where more users bring no more answers")] * has_knee,
    )


def _said(sweep: Sweep, points: Sequence[Spec]) -> str:
    values = ", ".join(f"{figure(point['y'])} ({figure(point['x'])})" for point in points)
    said = f"{name_of(sweep.candidate)}: {values}"
    if sweep.knee is None:
        return said
    return said + ", " + _("knee at {users}").format(users=figure(sweep.knee))
