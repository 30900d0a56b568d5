"""A pair's source as a page shows it: which lines stand where, and what sets its variants apart."""

import ast
import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from comparisons import offload, resources
from comparisons.registry import Comparison, Variant, View

# What views call and a reader cannot copy with them: comparisons/recipe.py says how to have it.
FROM_RECIPE = (
    resources.async_upstream,
    resources.async_redis,
    resources.async_pool,
    offload.async_cpu_service,
)

SHAPE = ("workers", "threads", "database")  # what a variant may declare of its deployment's
CONNECTING = {
    "none": "connecting to Postgres for each request",
    "persistent": "with a kept connection to Postgres for each thread",
    "pool": "with Django's pool of connections to Postgres",
    "pgbouncer": "connecting to a PgBouncer for each request",
}


@dataclass(frozen=True)
class ShownView:
    """A variant's view as its file has it."""

    variant: Variant
    url: str  # "" where Django serves nothing of it
    place: str  # path:line, as editors and terminals understand it
    served_by: str
    source: SafeString
    pitfall: str  # what the variant's declaration says of it, where the view's source does not
    same_as: str | None  # the variant above that has the same view
    served_differently: str  # how it is served, where that one is not


def shown_views(comparison: Comparison) -> list[ShownView]:
    first: dict[View, Variant] = {}
    shown = []
    for variant in comparison.variants:
        view = variant.view
        source = (inspect.getcomments(view) or "") + inspect.getsource(view)
        other = first.setdefault(view, variant)
        shown.append(
            ShownView(
                variant=variant,
                url="" if variant.app else reverse(f"{comparison.slug}/{variant.name}"),
                place=f"{path_of(inspect.getmodule(view))}:{inspect.getsourcelines(view)[1]}",
                served_by=served_by(variant),
                source=highlighted(source),
                pitfall=declared_pitfall(variant) if variant.pitfall else "",
                same_as=None if other is variant else other.name,
                served_differently=difference(variant, other),
            )
        )
    return shown


def served_by(variant: Variant) -> str:
    """Return for instance `gunicorn, gthread worker; with 1000 threads; with POOL_SIZE=5`."""
    return "; ".join([settings.DEPLOYMENTS[variant.deployment].about, *own_shape(variant)])


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
    missing = [
        text.replace("with", "without", 1) for name, text in others.items() if name not in own
    ]
    return ", ".join(changed + missing)


def _serving(variant: Variant) -> dict[str, str]:
    """Return all that a variant declares of how it is served, in words."""
    shape = _shape(variant)
    declared = {
        "deployment": f"on {variant.deployment}",
        **{name: getattr(variant, name) and shape[name] for name in SHAPE},
        "app": variant.app and f"with {variant.app} in place of Django",
        **{name: f"with {name}={_short(value)}" for name, value in variant.environ.items()},
    }
    return {name: text for name, text in declared.items() if text}


def _shape(of: Any) -> dict[str, str]:
    """Return its SHAPE, a variant's or a deployment's, in words."""
    threads = f"with {of.threads} threads" if of.threads else "without a limit of threads"
    return {
        "workers": "with 1 process" if of.workers == 1 else f"with {of.workers} processes",
        "threads": "with 1 thread" if of.threads == 1 else threads,
        "database": CONNECTING.get(of.database, ""),
    }


def _short(value: str) -> str:
    """Return a list of dotted paths as one reads it: their last words, startproject's as such."""
    paths = value.split(",")
    if paths == settings.STARTPROJECTS_MIDDLEWARE:
        return "startproject's seven"
    return ", ".join(path.rpartition(".")[2] for path in paths) if len(paths) > 1 else value


def shared_source(comparison: Comparison) -> str:
    """Return what the views share: all but docstring, imports and views, down to the last view.

    What follows it is the declaration's.
    """
    source = inspect.getsource(comparison.module)
    lines = source.splitlines()
    views = {v.view.__name__ for v in comparison.variants if not v.app}
    shared: list[str] = []
    end = 0
    for node in ast.parse(source).body:
        if not views:
            break
        begin, end = end, node.end_lineno or end
        match node:
            case ast.Expr() | ast.Import() | ast.ImportFrom():
                continue
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                if name in views:
                    views.remove(name)
                    continue
        shared += lines[begin:end]  # from the end of what is before: with the comments above it
    return "\n".join(shared).strip("\n")


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


def highlighted(source: str) -> SafeString:
    """Return the source as HTML; the lines that a comment calls the pitfall stand out."""
    # Here, because every measured server imports this file.
    from pygments import highlight
    from pygments.formatters.html import HtmlFormatter
    from pygments.lexers.python import PythonLexer

    pitfalls = [n for n, line in enumerate(source.splitlines(), start=1) if "# pitfall" in line]
    formatter: HtmlFormatter[str] = HtmlFormatter(nowrap=True, hl_lines=pitfalls)
    return mark_safe(highlight(source, PythonLexer(), formatter))  # Pygments escapes it


def path_of(module: Any) -> str:
    return str(Path(inspect.getfile(module)).relative_to(settings.BASE_DIR))
