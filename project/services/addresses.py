"""The addresses of services that the user has set: well-formed, and answering."""

import os
import queue
import re
import threading
from urllib.parse import urlsplit

from project.reasons import one_line
from project.services.declared import SERVICES
from project.services.service import Service, ServiceError

# The addresses that a parent has checked or started: its children need not ask again.
CHECKED = "SERVICES_CHECKED"
CHECK_TIMEOUT_S = 4.5  # name resolution included


def validate_addresses() -> None:
    """Reject a malformed address (ServiceError) before the settings parse it."""
    for service in SERVICES:
        if not (url := os.environ.get(service.variable)):
            continue
        shown = f"{service.variable} {_masked(url)}"
        if not url.startswith(tuple(f"{scheme}://" for scheme in service.schemes)):
            wanted = " or ".join(f"{scheme}://" for scheme in service.schemes)
            raise ServiceError(f"{shown}: does not begin with {wanted}")
        try:
            _ = urlsplit(url).port
        except ValueError:  # its text may quote a part of the password
            raise ServiceError(f"{shown}: malformed") from None


def ensure_answers(service: Service, url: str) -> None:
    """Raise ServiceError unless what the user set answers, in CHECK_TIMEOUT_S at most."""
    if url in os.environ.get(CHECKED, "").split():
        return
    shown = f"{service.variable} {_masked(url)}"
    outcome: queue.SimpleQueue[str] = queue.SimpleQueue()

    def ask() -> None:
        try:
            service.ping(url)
            outcome.put("")
        except Exception as error:
            outcome.put(one_line(error))

    # In a thread, because no timeout of a client covers a name server that does not answer.
    threading.Thread(target=ask, daemon=True).start()
    try:
        problem = outcome.get(timeout=CHECK_TIMEOUT_S)
    except queue.Empty:
        problem = f"no answer in {CHECK_TIMEOUT_S} s"
    if problem:
        raise ServiceError(f"{shown}: {problem}")


def _masked(url: str) -> str:
    """Show the address on one line without its password, be it well-formed or not."""
    credentials, at, rest = url.rpartition("@")
    scheme, separator, login = credentials.rpartition("://")
    user, colon, _password = login.partition(":")
    shown = f"{scheme}{separator}{user}{colon and ':***'}{at}{rest}"
    return " ".join(re.sub(r"(password=)[^&]*", r"\1***", shown).split())
