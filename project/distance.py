"""Puts services at a distance: a TCP proxy that delays whatever passes by half a round trip each way.

It delays and nothing else: order is kept, a connection has as many bytes under way as it likes (up
to WINDOW), and half closes and resets travel like data. A new connection costs a round trip before
its first byte leaves, as TCP's handshake does; only connect() itself returns at once, because the
kernel answers it on loopback. So the first byte arrives one and a half round trips after connect(),
and a target that refuses shows as a reset one round trip after it. Loss, congestion control (slow
start) and a link's bandwidth are not simulated.

    python -m project.distance MS HOST:PORT ...   prints a port for each target; Enter ends it
    python -m project.distance measure            how exact and how quick it is on this machine
"""

import asyncio
import contextlib
import ctypes
import functools
import json
import math
import os
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import psutil
import uvloop

from project.processes import die_with_parent

BASE_DIR = Path(__file__).resolve().parent.parent
DEFAULT_PORTS = {"postgres": 5432, "postgresql": 5432, "redis": 6379, "http": 80}
# Bytes that one direction of a connection may have under way: 100 ms at 1 Gbit/s take 12.5 MB.
WINDOW = 16 * 2**20
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger


class DistanceError(Exception):
    """No distance can be put there; its text is one line for the terminal."""


@contextlib.contextmanager
def at_distance(round_trip_ms: float, urls: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The same URLs as seen from `round_trip_ms` away: name -> URL whose host and port are the proxy's.

    One proxy process for all of them; it ends with the block. At 0 ms there is none and the URLs
    stay as they are. Raises DistanceError: at the start for a round trip or URL that makes no sense
    or a proxy that does not start, at the end if the proxy died inside the block.
    """
    if not 0 <= round_trip_ms < math.inf:
        raise DistanceError(f"a round trip cannot take {round_trip_ms} ms")
    targets = [_target(name, url) for name, url in urls.items()] if round_trip_ms else []
    if not targets:
        yield dict(urls)
        return
    proxy = subprocess.Popen(
        [sys.executable, "-m", "project.distance", str(round_trip_ms), *targets],
        cwd=BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the command, which then ends the block
    )
    with proxy:
        try:
            assert proxy.stdout
            if not (ports := proxy.stdout.readline()):
                raise DistanceError(f"the proxy did not start: exit status {proxy.wait()}")
            yield {
                name: _moved(url, port)
                for (name, url), port in zip(urls.items(), json.loads(ports), strict=True)
            }
            if proxy.poll() is not None:
                raise DistanceError(f"the proxy ended early: exit status {proxy.returncode}")
        finally:
            proxy.kill()


def _target(name: str, url: str) -> str:
    """The URL's HOST:PORT. The error does not quote the URL: it may hold a password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        raise DistanceError(f"{name}: malformed URL") from None
    if not host or not port or "/" in unquote(host):  # a socket's folder
        raise DistanceError(f"{name}: no TCP host and port that could be put at a distance")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _moved(url: str, port: int) -> str:
    parts = urlsplit(url)
    credentials, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{credentials}{at}127.0.0.1:{port}").geturl()


# --- The proxy process ----------------------------------------------------------------------------


class Link:
    """Makes each call a fixed delay after it was sent.

    All that passes has the same way to go, so one queue keeps the order and needs one timer.
    """

    def __init__(self, delay_ns: int) -> None:
        self.delay_ns = delay_ns
        self.under_way: deque[tuple[int, Callable[..., object], tuple[Any, ...]]] = deque()
        self.loop = asyncio.get_running_loop()
        if sys.platform == "linux":
            # The loop's own timers count whole milliseconds; the kernel's count nanoseconds.
            self.libc = ctypes.CDLL(None)
            flags = os.O_NONBLOCK | os.O_CLOEXEC  # the same as TFD_NONBLOCK | TFD_CLOEXEC
            self.timer = self.libc.timerfd_create(time.CLOCK_MONOTONIC, flags)
            self.loop.add_reader(self.timer, self.deliver)

    def send(self, call: Callable[..., object], *args: Any) -> None:
        self.under_way.append((time.monotonic_ns() + self.delay_ns, call, args))
        if len(self.under_way) == 1:
            self.wake_up_for_first()

    def wake_up_for_first(self) -> None:
        due = self.under_way[0][0]
        if sys.platform == "linux":  # an absolute time (the 1); to set it clears the last expiry
            when = (ctypes.c_long * 4)(0, 0, *divmod(due, 10**9))
            self.libc.timerfd_settime(self.timer, 1, when, None)
        else:
            self.loop.call_later(max(0, due - time.monotonic_ns()) / 1e9, self.deliver)

    def deliver(self) -> None:
        now = time.monotonic_ns()
        while self.under_way and self.under_way[0][0] <= now:
            _, call, args = self.under_way.popleft()
            call(*args)
        ...
