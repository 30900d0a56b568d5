"""A service for CPU work: a plain ASGI app in a process of its own.

It computes in its event loop's thread and so answers one request after another: that is its job.

GET /fib/N    {"fib": ...} (0 to 30)
"""

from typing import Any

from comparisons.json_app import Gone, json_app
from comparisons.offload import fib

MAX_N = 30


async def answer_to(path: str, gone: Gone) -> tuple[int, dict[str, Any]]:
    """Return the status and the JSON object that answer a GET of this path."""
    match path.split("/"):
        case ["", "fib", n] if n.isdecimal() and len(n) <= 2 and int(n) <= MAX_N:
            return 200, {"fib": fib(int(n))}
    return 404, {"error": f"no such path: {path}"}


app = json_app(answer_to)
