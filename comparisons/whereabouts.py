"""Where a request's queries run: in which thread, and in which of Postgres's processes."""

import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from django.db.backends.signals import connection_created
from django.dispatch import receiver

_noted: ContextVar[list[str]] = ContextVar("_noted")


def whereabouts() -> list[str]:
    """A list to which `note` adds each query from here on: Django's by themselves, others by hand.

    A context variable goes with the request into whatever thread it hops.
    """
    noted: list[str] = []
    _noted.set(noted)
    return noted


def note(backend_pid: int) -> None:
    """To be called in the thread that runs the query."""
    if (noted := _noted.get(None)) is not None:
        noted.append(f"{threading.current_thread().name}/{backend_pid}")


def _note_djangos(
    execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    note(context["connection"].connection.info.backend_pid)
    return execute(sql, params, many, context)


@receiver(connection_created)
def _watch(connection: Any, **_: Any) -> None:
    if _note_djangos not in connection.execute_wrappers:  # it has been connected before
        connection.execute_wrappers.append(_note_djangos)
