"""One direction of dependence: loadtests knows project and comparisons, project comparisons."""

import ast

import pytest

from project.processes import BASE_DIR

# What each part may import of the others; the longest name that fits a module says its part.
MAY_IMPORT = {
    "comparisons": set(),
    "project.inside": set(),  # runs in other people's servers too
    "project": {
        "comparisons",
        "project.inside",
    },  # wires: settings, URLs, applications, what every command does
    "project.services": {"comparisons", "project"},
    "loadtests.asks": set(),
    "loadtests.orders": {"loadtests.asks"},
    "loadtests.arguments": {"comparisons", "project", "project.services"},
    "loadtests.away": {"project"},
    "loadtests.distributed": {"loadtests.orders"},
    "loadtests.turns": {"comparisons", "loadtests.orders", "project"},
    "loadtests.raw": {"loadtests.orders"},
    "loadtests.connection": {"loadtests.raw"},
    "loadtests.crowds": {"project"},
    "loadtests.locustfile": {
        "comparisons",
        "loadtests.asks",
        "loadtests.connection",
        "loadtests.orders",
        "loadtests.turns",
        "project",
    },
    "loadtests.readers_locustfile": set(),
    "loadtests.generator": {
        "loadtests.asks",
        "loadtests.crowds",
        "loadtests.locustfile",
        "loadtests.orders",
        "loadtests.raw",
        "loadtests.readers_locustfile",
    },
    "loadtests.worker": {"loadtests.generator", "loadtests.orders", "project"},
    "loadtests.master": {"loadtests.distributed", "loadtests.generator", "loadtests.orders"},
    "loadtests.judging": {"comparisons", "loadtests.orders"},  # which says what a sample is
    "loadtests.running": {
        "comparisons",
        "project",
        "project.services",
        "loadtests.arguments",
        "loadtests.asks",
        "loadtests.away",
        "loadtests.crowds",
        "loadtests.judging",
        "loadtests.orders",
    },
    "loadtests.reporting": {"comparisons", "project", "loadtests.judging", "loadtests.running"},
    "loadtests.advising": {
        "comparisons",
        "project",
        "project.services",
        "loadtests.arguments",
        "loadtests.asks",
        "loadtests.judging",
        "loadtests.orders",
        "loadtests.reporting",
        "loadtests.running",
    },
}
ABOVE_ALL = ("loadtests.studies", "loadtests.management")  # they may import everything
MODULES = {
    ".".join(path.relative_to(BASE_DIR).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("comparisons", "project", "loadtests")
    for path in sorted((BASE_DIR / package).rglob("*.py"))
}


def part_of(module: str) -> str:
    fitting = [name for name in (*MAY_IMPORT, *ABOVE_ALL) if f"{module}.".startswith(f"{name}.")]
    return max(fitting, key=len, default="")


def imported(module: str) -> set[str]:
    """The modules of ours that it imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in ("comparisons", "project", "loadtests")}


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_only_what_its_part_may(module):
    own = part_of(module)
    if own in ABOVE_ALL or MODULES[module].stat().st_size == 0:
        return
    assert {part_of(name) for name in imported(module)} <= MAY_IMPORT[own] | {own}


def test_parts_depend_on_each_other_in_one_direction():
    order = list(MAY_IMPORT)
    assert all(
        order.index(other) < order.index(part) for part in order for other in MAY_IMPORT[part]
    )
