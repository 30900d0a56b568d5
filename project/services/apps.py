"""Services that are ASGI apps of ours: the upstream, the CPU service."""

import contextlib
import sys
from pathlib import Path
from urllib.parse import urlsplit

from project.services.service import CONNECT_TIMEOUT_S

# Longer than a client keeps a connection that idles (httpx: 5 s, as uvicorn's default): where both
# give up at the same time, a client may send into a connection that is being closed.
KEEP_ALIVE_S = 60


def prepare(app: str, _folder: Path, port: int) -> tuple[list[str], str]:
    """Return the command line and the URL of an ASGI app, such as comparisons.upstream:app."""
    options = (
        f"--host 127.0.0.1 --port {port} --loop uvloop --http httptools "
        f"--no-access-log --log-level warning --timeout-keep-alive {KEEP_ALIVE_S} "
        "--timeout-graceful-shutdown 1"
    )
    command = [sys.executable, "-m", "uvicorn", app, *options.split()]
    return command, f"http://127.0.0.1:{port}"


def ping(path: str, url: str) -> None:
    import http.client  # here, because every keeper imports this file

    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    with contextlib.closing(
        kind(parts.hostname or "", parts.port, timeout=CONNECT_TIMEOUT_S)
    ) as link:
        link.request("GET", parts.path.rstrip("/") + path)
        if (status := link.getresponse().status) != 200:
            raise ValueError(f"{path} answers with status {status}")
