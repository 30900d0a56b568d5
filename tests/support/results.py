"""A small result file, and a page as its reader sees it."""

from functools import cache
from html import unescape

from django.test import Client
from django.utils.html import strip_tags

MEASUREMENT = {
    "comparison": "cpu-bound",
    "variant": "async_blocking",
    "deployment": "asgi-uvicorn",
    "users": 4,
    "rounds": 5,
    "requests": 400,
    "failures": 0,
    "throughput": {"mean": 47.04, "low": 46.5, "high": 47.52},
    "latency_ms": {"p50": 85.1, "p95": 90.0, "p99": 1234.5, "max": 2000.0},
    "bystander_ms": {"p50": 40.0, "p99": 98.76, "max": 120.0},
    "server": {
        "processes": 1,
        "threads": 20,
        "cpu_seconds": 1.0,
        "rss_mb": 50.0,
        "db_connections": 7,
    },
    "ceiling": 50.0,
    "load_generator_cpu": 0.2,
    "valid": True,
    "invalid_because": [],
}
HOLD = {
    "place": "comparisons/pairs/cpu_bound.py:26",
    "code": 'return JsonResponse({"fib": fib(N)})  # pitfall: no linter knows that fib computes',
    "calls": "comparisons.pairs.cpu_bound.fib",
    "ms": 21.4,
    "cpu_ms": 20.9,
    "times": 1.0,
    "longest_ms": 24.0,
}
VERDICT = {
    "comparison": "cpu-bound",
    "expectation": "async_blocking bystander of work at least 1",
    "verdict": "holds",
    "measured": 2.345,
    "low": 2.1,
    "high": 2.6,
    "because": "5 rounds",
}
EXPECTED = {
    "expected": {
        **{"variant": "async_blocking", "metric": "bystander", "of": "work"},
        **{"low": 1, "high": None, "users": 4, "round_trip": 0},
        **{"text": "async_blocking bystander of work at least 1", "why": "Because it waits."},
    }
}
RESULT = {
    "schema": 1,
    "started": "2026-11-22T21:30:05Z",
    "finished": "2026-11-22T21:35:00Z",
    "environment": {
        "python": "3.13.9",
        "django": "6.1.3",
        "cpu_model": "Abacus 9000",
        "cpu_count": 64,
    },
    "measurements": [MEASUREMENT],
    "verdicts": [VERDICT],
}


@cache
def empty_page(url: str) -> str:
    """The page without any result, made once: hundreds of tests look at one."""
    return html_of(Client(), url)


def html_of(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def text_of(client: Client, url: str) -> str:
    """What a reader sees, with single spaces."""
    return text_in(html_of(client, url))


def text_in(html: str) -> str:
    return " ".join(unescape(strip_tags(html)).split())
