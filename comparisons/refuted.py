"""Why claims that one would expect to hold are refuted: it stands beside their verdicts."""

from comparisons.result import Verdict

# By comparison, and by how the expectation's text begins.
EXPLAINED = {
    ("many-waiting", "async_native threads"): (
        "Django's ASGI handler runs the receivers of `request_started` in a thread of the "
        "request's own, and keeps it until the response: one for each request that waits. With one "
        "thread shared by all (`SHARED_THREAD=1`, see `project/asgi.py`) a handful are left, "
        "however many wait."
    ),
    ("many-waiting", "async_shared_thread memory of sync"): (
        "A thread's stack is large only on paper: of the memory that is set aside for it a thread "
        "that waits uses a few pages. The request itself takes as much in a thread as on a loop."
    ),
}


def explanation(verdict: Verdict) -> str:
    """Return why it is refuted; "" if it is not, or if nobody knows."""
    if verdict.outcome != "refuted":
        return ""
    return next(
        (
            text
            for (comparison, begins), text in EXPLAINED.items()
            if comparison == verdict.comparison and verdict.expectation.startswith(begins)
        ),
        "",
    )
