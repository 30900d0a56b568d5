"""The comparisons, in the order in which they are read: adding one is adding a file and a line."""

from comparisons.pairs import blocking_call, cpu_bound, row_loop, sequential_awaits
from comparisons.registry import Comparison

GROUPS = {
    "What blocks": [blocking_call, cpu_bound, row_loop],
    "Asking for concurrency": [sequential_awaits],
}

COMPARISONS: dict[str, Comparison] = {
    module.comparison.slug: module.comparison for group in GROUPS.values() for module in group
}
