"""What a process may have here: files, threads, memory. A limit that was reached is one line."""

import re
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from project.errors import FatalError
from project.reasons import one_line

MIN_FILES = 64  # for a server and a service with no load
# Less addresses and OpenBLAS, which numpy imports, never stops asking for more.
MIN_ADDRESS_SPACE_MB = 1000

REACHED = {  # what an error says: what to do
    "Too many open files": "a process may have {files} here, raise ulimit -n",
    "can't start new thread|Resource temporarily unavailable|pthread_create failed": (
        "no more threads or processes may be started here, raise ulimit -u or the container's limit"
    ),
    r"(\(signal 6\) at its start|does not start): it said nothing": (
        "so ends uvloop where it can start no thread, see ulimit -u"
    ),
    "MemoryError|Cannot allocate memory|failed to map segment": (
        "there is no more memory here, raise ulimit -v or end other programs"
    ),
}


class LimitError(FatalError):
    """A limit of this process that was reached, or is too low from the start."""


def check() -> None:
    """Raise LimitError where a server could not even start, or a library would hang.

    RuntimeError if no thread can be started, which `named` explains.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit != resource.RLIM_INFINITY and limit < MIN_FILES:
        raise LimitError(
            f"a process may have {limit} open files here, {MIN_FILES} are needed: raise ulimit -n"
        )
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < MIN_ADDRESS_SPACE_MB * 1_000_000:
        raise LimitError(
            f"a process may have {limit // 1_000_000} MB of addresses here, "
            f"{MIN_ADDRESS_SPACE_MB} MB are needed: raise ulimit -v"
        )
    threading.Thread(target=lambda: None).start()  # OpenBLAS would say it in four lines, and SIGINT


@contextmanager
def named() -> Iterator[None]:
    """Make a LimitError, which says what to do, of whatever error in the block tells of a limit."""
    try:
        yield
    except Exception as error:
        said = one_line(error)
        for pattern, advice in REACHED.items():
            if re.search(pattern, said):
                files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
                raise LimitError(f"{said}: {advice.format(files=files)}") from None
        raise
