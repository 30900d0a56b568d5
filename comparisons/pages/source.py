"""A pair's source as a page shows it: which lines stand where, and what sets its variants apart."""

import ast
import inspect
import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as marked
from django.utils.translation import ngettext

from comparisons import offload, resources
from comparisons.declarations import shown_path
from comparisons.own_pairs import PACKAGE
from comparisons.pages.shown import ShownHold
from comparisons.registry import Comparison, Variant, View
from comparisons.traces import Trace, traces_of

# What views call and a reader cannot copy with them: comparisons/recipe.py says how to have it.
FROM_RECIPE = (
    resources.async_upstream,
    resources.async_redis,
    resources.async_pool,
    offload.async_cpu_service,
)

SHAPE = ("workers", "threads", "database")  # what a variant may declare of its deployment's
CONNECTING = {
    "none": marked("connecting to Postgres for each request"),
    "persistent": marked("with a kept connection to Postgres for each thread"),
    "pool": marked("with Django's pool of connections to Postgres"),
    "pgbouncer": marked("connecting to a PgBouncer for each request"),
}


@dataclass(frozen=True)
class Line:
    """A line of source. differs: from the view beside it. held: how long it held the event loop."""

    number: int  # in its file
    text: str
    html: SafeString
    pitfall: bool = False
    differs: bool = False
    held: str = ""


@dataclass(frozen=True)
class Shared:
    """A part of the source that views share, and where it stands."""

    place: str
    lines: Sequence[Line]


@dataclass(frozen=True)
class ShownView:
    """A variant's view as its file has it."""

    variant: Variant
    url: str  # "" where Django serves nothing of it
    place: str  # path:line, as editors and terminals understand it
    served_by: str
    lines: Sequence[Line]
    pitfall: str  # what the variant's declaration says of it, where the view's source does not
    same_as: str | None  # the variant above that has the same view
    served_differently: str  # how it is served, where that one is not
    trace: Trace | None  # where each line ran in one request; None if that is not known any more

    @property
    def kind(self) -> str:
        """What it is drawn as, here and in every chart: a pitfall, async or sync."""
        if self.variant.pitfall:
            return "pitfall"
        return "async" if self.variant.is_async else "sync"


def shown_views(comparison: Comparison) -> list[ShownView]:
    first: dict[View, Variant] = {}
    shown = []
    traces = traces_of(comparison)
    for variant in comparison.variants:
        view = variant.view
        comments = inspect.getcomments(view) or ""
        source, number = inspect.getsourcelines(view)
        other = first.setdefault(view, variant)
        shown.append(
            ShownView(
                variant=variant,
                url="" if variant.app else reverse(f"{comparison.slug}/{variant.name}"),
                place=f"{path_of(inspect.getmodule(view))}:{number}",
                served_by=served_by(variant),
                lines=numbered(comments + "".join(source), number - comments.count("\n")),
                pitfall=_said(declared_pitfall(variant)) if variant.pitfall else "",
                same_as=None if other is variant else other.name,
                served_differently=difference(variant, other),
                trace=traces.get(variant.name),
            )
        )
    return shown


def _said(text: str) -> str:
    return _(text) if text else ""  # the translation of "" is the catalogue's header


def with_holds(views: Sequence[ShownView], holds: Sequence[ShownHold]) -> list[ShownView]:
    """Mark the lines of each view that held the event loop, where they still are what they were."""
    return [
        replace(
            view,
            lines=[
                replace(line, held=_held_at(line, view, holds) if line.number else "")
                for line in view.lines
            ],
        )
        for view in views
    ]


def _held_at(line: Line, view: ShownView, holds: Sequence[ShownHold]) -> str:
    place = f"{view.place.rpartition(':')[0]}:{line.number}"
    times = (
        shown.time
        for shown in holds
        if (shown.variant, shown.hold.place) == (view.variant.name, place)
        and shown.hold.code == line.text.strip()
    )
    return next((_("held %(time)s") % {"time": time} for time in times), "")


def side_by_side(left: ShownView, right: ShownView) -> tuple[ShownView, ShownView]:
    """Mark the lines by which two views differ."""
    texts, others_texts = ([line.text for line in view.lines] for view in (left, right))
    matcher = SequenceMatcher(None, texts, others_texts)
    mine, others = set(range(len(left.lines))), set(range(len(right.lines)))
    for block in matcher.get_matching_blocks():
        mine -= {*range(block.a, block.a + block.size)}
        others -= {*range(block.b, block.b + block.size)}
    return _marked(left, mine), _marked(right, others)


def _marked(view: ShownView, differ: Collection[int]) -> ShownView:
    lines = [replace(line, differs=place in differ) for place, line in enumerate(view.lines)]
    return replace(view, lines=lines)


def telling_pair(views: Sequence[ShownView]) -> tuple[ShownView, ShownView]:
    """Return the two views to begin with: the pitfall and what is most like it and none.

    Without a pitfall, the first and the next that is another view; if there is one view only, two
    ways to serve it.
    """
    pitfalls = [view for view in views if view.variant.pitfall]
    left = next((view for view in pitfalls if not view.same_as), (pitfalls or [*views])[0])
    others = [view for view in views if view is not left and not view.variant.pitfall]
    others = [view for view in others if view.variant.view != left.variant.view] or others

    def unlike(view: ShownView) -> tuple[bool, int]:
        pair = side_by_side(left, view)
        differing = sum(line.differs for one in pair for line in one.lines)
        return view.variant.is_async != left.variant.is_async, differing

    right = min(others, key=unlike) if pitfalls else others[0]
    return left, right


def served_by(variant: Variant) -> str:
    """Return for instance `gunicorn, gthread worker; with 1000 threads; with POOL_SIZE=5`."""
    about = settings.DEPLOYMENTS[variant.deployment].about
    return "; ".join([_(about), *own_shape(variant)])


def own_shape(variant: Variant) -> list[str]:
    """Return what it declares besides its deployment: `with 1000 threads`, `with POOL_SIZE=5`."""
    _deployment, *shape = _serving(variant).values()
    return shape


def difference(variant: Variant, other: Variant) -> str:
    """Return how this is served and the other is not: `with 2 processes, without POOL_SIZE=1`."""
    own, others = _serving(variant), _serving(other)
    deployment = settings.DEPLOYMENTS[variant.deployment]
    if deployment.interface == "asgi" and "threads" not in own:
        others.pop("threads", None)  # an event loop has none to compare
    # A shape that it does not declare is its deployment's.
    of_deployment = _shape(deployment)
    own |= {name: of_deployment[name] for name in others if name in SHAPE and name not in own}
    changed = [text for name, text in own.items() if others.get(name) != text]
    missing = [_without(name, other) for name in others if name not in own]
    return ", ".join(changed + missing)


def _serving(variant: Variant) -> dict[str, str]:
    """Return all that a variant declares of how it is served, in words."""
    shape = _shape(variant)
    declared = {
        "deployment": _("on %(deployment)s") % {"deployment": variant.deployment},
        **{name: getattr(variant, name) and shape[name] for name in SHAPE},
        "app": variant.app and _("with %(app)s in place of Django") % {"app": variant.app},
        **{name: _("with %(setting)s") % _set(name, variant) for name in variant.environ},
    }
    return {name: text for name, text in declared.items() if text}


def _without(name: str, other: Variant) -> str:
    return _("with Django") if name == "app" else _("without %(setting)s") % _set(name, other)


def _set(name: str, variant: Variant) -> dict[str, str]:
    """Return for instance `POOL_SIZE=5`, of lists of dotted paths the last words."""
    value = variant.environ[name]
    paths = value.split(",")
    if paths == settings.STARTPROJECTS_MIDDLEWARE:
        value = _("startproject's seven")
    elif len(paths) > 1:
        value = ", ".join(path.rpartition(".")[2] for path in paths)
    return {"setting": f"{name}={value}"}


def _shape(of: Any) -> dict[str, str]:
    """Return its SHAPE, a variant's or a deployment's, in words."""
    if of.threads:
        threads = ngettext("with %(n)d thread", "with %(n)d threads", of.threads)
    else:
        threads = _("without a limit of threads")
    workers = ngettext("with %(n)d process", "with %(n)d processes", of.workers or 0)
    return {
        "workers": workers % {"n": of.workers or 0},
        "threads": threads % {"n": of.threads or 0},
        "database": _(CONNECTING[of.database]) if of.database else "",
    }


def shared_sources(comparison: Comparison) -> list[Shared]:
    """Return what a reader copies with the views: imports, constants, functions that they use.

    First of the pair's own file, then of our other modules, but for clients and pools, which
    comparisons/resources.py has for all.
    """
    module = comparison.module
    tree = ast.parse(inspect.getsource(module))
    views = {v.view.__name__ for v in comparison.variants if not v.app}
    used = {name for node in tree.body if _defines(node) & views for name in _names_in(node)}
    own: list[ast.stmt] = []
    while found := [n for n in tree.body if _defines(n) & used - views and n not in own]:
        own += found
        used = used.union(*map(_names_in, found))
    own.sort(key=lambda node: node.lineno)
    imports = [text for node in tree.body if _is_import(node) and (text := _of_used(node, used))]
    parts = [Shared(path_of(module), [*numbered("\n".join(imports)), *_source_of(module, own)])]
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (
            _is_ours(node.module or "") or _is_beside(node.module or "", module)
        ):
            imported = sys.modules[node.module or ""]
            names = {
                alias.name
                for alias in node.names
                if alias.name in used and vars(imported)[alias.name] not in FROM_RECIPE
            }
            defined = [
                one for one in ast.parse(inspect.getsource(imported)).body if _defines(one) & names
            ]
            if defined:
                parts.append(Shared(path_of(imported), _source_of(imported, defined)))
    return [part for part in parts if part.lines]


def _names_in(node: ast.stmt) -> set[str]:
    return {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}


def _is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _of_used(node: Any, used: Collection[str]) -> str:
    """Return the import of those names that are used; "" if none is."""
    names = [a for a in node.names if (a.asname or a.name).partition(".")[0] in used]
    if not names:
        return ""
    if isinstance(node, ast.Import):
        return ast.unparse(ast.Import(names))
    return ast.unparse(ast.ImportFrom(node.module, names, node.level))


def _is_ours(module: str) -> bool:
    """Tell modules whose functions views call from those that every reader has or can copy."""
    package, _, name = module.partition(".")
    known = ("", "registry", "resources", "models", "recipe")
    return package == "comparisons" and name not in known


def _is_beside(module: str, pair: Any) -> bool:
    """Tell modules in the folder of a reader's own pair."""
    file = getattr(sys.modules.get(module), "__file__", None)
    is_own = pair.__name__.startswith(f"{PACKAGE}.")
    return is_own and file is not None and Path(file).is_relative_to(Path(pair.__file__).parent)


def _defines(node: ast.stmt) -> set[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Assign(targets=targets):
            names = (name for target in targets for name in ast.walk(target))
            return {name.id for name in names if isinstance(name, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
    return set()


def _source_of(module: Any, nodes: Sequence[ast.stmt]) -> list[Line]:
    """Return their lines, with the comments above them, each after an empty line if it is long."""
    source = inspect.getsource(module).splitlines()
    lines = _lines(module)
    shown: list[Line] = []
    for node in nodes:
        begin = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]) - 1
        while begin and source[begin - 1].startswith("#"):
            begin -= 1
        if shown and begin and not source[begin - 1]:
            shown.append(replace(shown[-1], number=0, text="", html=mark_safe("")))
        shown += lines[begin : node.end_lineno]
    return shown


@cache
def _lines(module: Any) -> list[Line]:
    return numbered(inspect.getsource(module), 1)


def declared_pitfall(variant: Variant) -> str:
    """Return what `# pitfall: ...` says in the lines of the variant's `Variant(...)`, or ""."""
    path, _, declared_at = variant.place.rpartition(":")
    source = (settings.BASE_DIR / path).read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and node.lineno == int(declared_at):
            lines = source.splitlines()[node.lineno - 1 : node.end_lineno]
            if found := re.search(r"# pitfall: *(.*)", "\n".join(lines)):
                return found[1]
    return ""


def recipes(comparison: Comparison) -> list[str]:
    """Return the names of what the pair calls and comparisons/recipe.py explains."""
    return [name for name, value in vars(comparison.module).items() if value in FROM_RECIPE]


def numbered(source: str, first: int = 0) -> list[Line]:
    """Return the source line by line, highlighted; without numbers if first is 0."""
    # Here, because every measured server imports this file.
    from pygments import highlight
    from pygments.formatters.html import HtmlFormatter
    from pygments.lexers.python import PythonLexer

    formatter: HtmlFormatter[str] = HtmlFormatter(nowrap=True)  # which closes its tags on each line
    html = highlight(source, PythonLexer(stripnl=False), formatter).splitlines()
    return [
        Line(first and first + place, text, mark_safe(line), "# pitfall" in text)
        for place, (text, line) in enumerate(zip(source.splitlines(), html, strict=True))
    ]


def path_of(module: Any) -> str:
    """Return its file: from the checkout on, or whole where it is elsewhere."""
    return str(shown_path(inspect.getfile(module)))
