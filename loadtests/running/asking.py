"""One request and its answer, outside of any round."""

import re
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPException, IncompleteRead

from loadtests.asks import Ask
from loadtests.running import servers

TIMEOUT_S = 20
MAX_BODY = 100_000_000  # bytes
SHOWN = 80  # characters of a body


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


def ask(server: servers.Connecting, what: Ask, timeout_s: float = TIMEOUT_S) -> Answer:
    """Send one request, on a connection of its own. OSError or HTTPException if it fails."""
    deadline = time.monotonic() + timeout_s
    body = bytearray()
    with closing(server.connect(timeout_s)) as connection:
        connection.request(what.method, what.path, what.body or None, dict(what.headers))
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        while part := response.read1():
            body += part
            if time.monotonic() > deadline:
                raise TimeoutError
            if len(body) > MAX_BODY:
                raise HTTPException(f"more than {MAX_BODY:,} bytes")
        if response.length:  # is to come, but the connection is closed
            raise IncompleteRead(b"", response.length)
        return Answer(response.status, headers, bytes(body))


def gist(answer: Answer) -> str:
    """Return what a body says of itself: a page's title, or its beginning."""
    text = answer.body.decode(errors="replace")
    found = re.search(r"<title[^>]*>(.*?)</title>", text, re.DOTALL | re.IGNORECASE)
    words = " ".join((found[1] if found else text).split())
    return f" ({words[:SHOWN]}{'…' if len(words) > SHOWN else ''})" if words else ""
