"""What runs in a process of a pool, which imports this: nothing of Django's."""

from comparisons.offload import fib
from tests.support.clients import until


def fib_when_allowed(file, n):
    """fib(n), when the file is there."""
    until(file.exists)
    return fib(n)
