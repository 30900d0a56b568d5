"""Charts as SVG: drawn by Vega in this process, once each, and stripped of what says nothing."""

import json
import re
from collections.abc import Collection
from functools import cache, lru_cache
from itertools import groupby
from threading import Lock
from xml.etree import ElementTree

from django.conf import settings
from django.utils.formats import get_format
from django.utils.safestring import SafeString, mark_safe

from comparisons.pages.marks import Chart

SVG = "http://www.w3.org/2000/svg"
KEPT = 1024  # drawings; a full result has about 400
LOCK = Lock()  # Vega draws in one thread at a time
FONT = "system-ui, sans-serif"
# What a child has from its parent; opacity is another's: it is of the whole.
INHERITED = (
    *("fill", "stroke", "stroke-width", "stroke-dasharray"),
    *("font-size", "font-weight", "text-anchor"),
)
DEFAULTS = {
    *(("opacity", "1"), ("fill-opacity", "1"), ("stroke-width", "1"), ("stroke-dasharray", "1,0")),
    *(("text-anchor", "start"), ("font-weight", "normal"), ("font-family", FONT)),
}
UNUSED = ("aria-", "role", "class", "pointer-events", "stroke-miterlimit", "version")


def svg(chart: Chart) -> str:
    """Return the chart as a file of its own: it has its colours, light and dark, with it."""
    drawn = _drawn_in_language(chart)
    style = f"<style>{_colours(set(re.findall(r'var[(](--[^)]+)[)]', drawn)))}</style>"
    return re.sub(r"(<svg [^>]*>)", lambda tag: tag[1] + style, drawn, count=1)


def inline(chart: Chart) -> SafeString:
    """Return the chart as a part of a page, whose colours it has; the page says what it shows."""
    return mark_safe(_drawn_in_language(chart).replace("<svg ", '<svg aria-hidden="true" ', 1))


def _drawn_in_language(chart: Chart) -> str:
    """Draw it with the numbers of axes as `in_digits` writes all others."""
    separators = get_format("DECIMAL_SEPARATOR"), get_format("THOUSAND_SEPARATOR")
    return _drawn(json.dumps(chart.spec, sort_keys=True), *separators)


@lru_cache(KEPT)
def _drawn(spec: str, decimal: str, thousands: str) -> str:
    # Here, because no measured server is to have it: it is a whole JavaScript engine.
    import vl_convert

    numbers = {"decimal": decimal, "thousands": thousands, "grouping": [3], "currency": ["", ""]}
    with LOCK:
        drawn = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[], format_locale=numbers)
    root = ElementTree.fromstring(drawn)
    _strip(root)
    _lift(root)
    root.attrib["font-family"] = FONT
    ElementTree.register_namespace("", SVG)
    return ElementTree.tostring(root, encoding="unicode").replace(" />", "/>")


def _colours(used: Collection[str]) -> str:
    """The variables of `pages.css`, as a drawing that stands alone needs them."""
    found = [colour for colour in _variables() if colour[0] in used]
    light = ";".join(f"{name}:{colour}" for name, colour, _ in found)
    dark = ";".join(f"{name}:{colour}" for name, _, colour in found)
    return f":root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"


@cache
def _variables() -> list[tuple[str, str, str]]:
    """Their names, and their colours in light and dark."""
    css = (settings.STATIC_ROOT / "comparisons" / "pages.css").read_text()
    return re.findall(r"(--[\w-]+): light-dark\((#\w+), (#\w+)\)", css)


# --- Smaller


def _strip(parent: ElementTree.Element) -> None:
    """Remove what draws nothing, and join neighbours that look the same.

    What draws nothing: roles, defaults, empty paths and groups, digits that no screen shows.
    """
    for name in list(parent.attrib):
        if name.startswith(UNUSED) or (name, parent.attrib[name]) in DEFAULTS:
            del parent.attrib[name]
    children: list[ElementTree.Element] = []
    for child in parent:
        _strip(child)
        if not _draws(child):
            continue
        _place(child)
        new = list(child) if _tag(child) == "g" and not child.attrib else [child]
        for one in new:
            if children and _tag(one) == "path" and _look(one) == _look(children[-1]):
                children[-1].attrib["d"] += one.attrib["d"]
            else:
                children.append(one)
    parent[:] = children


def _draws(element: ElementTree.Element) -> bool:
    look = element.attrib
    match _tag(element):
        case "g":
            return len(element) > 0
        case "path":
            seen = (look.get(name, "none") for name in ("fill", "stroke"))
            return bool(look.get("d")) and set(seen) != {"none"}
        case "text":
            return bool(element.text)
    return True


def _place(element: ElementTree.Element) -> None:
    """Write where it is in few characters; a line as a path, which can be joined with others."""
    look = element.attrib
    for name in ("d", "transform", "x2", "y2"):
        if name in look:
            look[name] = re.sub(r"-?\d*\.\d+(e-?\d+)?", _rounded, look[name])
    moved = re.fullmatch(r"translate\((-?[\d.]+),(-?[\d.]+)\)", look.get("transform", ""))
    match _tag(element):
        case "g" if moved and moved.groups() == ("0", "0"):
            del look["transform"]
        case "text" if moved:
            del look["transform"]
            look["x"], look["y"] = moved.groups()
        case "line":
            x, y = moved.groups() if moved else ("0", "0")
            look.pop("transform", None)
            look["d"] = f"M{x},{y}l{look.pop('x2', '0')},{look.pop('y2', '0')}"
            element.tag = f"{{{SVG}}}path"


def _rounded(number: re.Match[str]) -> str:
    return f"{round(float(number[0]), 1):g}"


def _lift(parent: ElementTree.Element) -> None:
    """Say once, of a group, how all in it look: of neighbours, and then of all children."""
    for child in parent:
        _lift(child)
    children: list[ElementTree.Element] = []
    for _key, run in groupby(parent, key=lambda child: (_tag(child), _inherited(child))):
        alike = list(run)
        if len(alike) > 1 and _tag(alike[0]) == "text":
            group = ElementTree.Element(f"{{{SVG}}}g")
            group[:] = alike
            alike = [group]
            _say_once(group)
        children += alike
    parent[:] = children
    _say_once(parent)


def _say_once(parent: ElementTree.Element) -> None:
    for name in INHERITED:
        looks = {child.attrib.get(name) for child in parent}
        if len(looks) == 1 and (look := looks.pop()) is not None:
            parent.attrib[name] = look
            for child in parent:
                del child.attrib[name]


def _inherited(element: ElementTree.Element) -> tuple[str | None, ...]:
    return tuple(element.attrib.get(name) for name in INHERITED)


def _look(element: ElementTree.Element) -> dict[str, str]:
    """Of a path all but its course; of anything else what no path has."""
    if _tag(element) != "path":
        return {"tag": element.tag}
    return {name: value for name, value in element.attrib.items() if name != "d"}


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
