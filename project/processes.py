"""What the starters of processes share."""

import ctypes
import importlib.util
import os
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
MANY_FILES = 60_000  # of 50,000 connections and more


def die_with_parent(parent: int, number: int = signal.SIGTERM) -> None:
    """Have the kernel send this process the signal when its parent dies, even by SIGKILL (Linux).

    parent: its process id, as the parent told it; if that has died already, the signal comes now.
    It fires when the thread that started the child ends, so start children in the main thread.
    """
    if _prctl:
        _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def dying_with_parent(command: Sequence[str], number: int = signal.SIGTERM) -> list[str]:
    """Wrap the command in this file, whose last lines run before it becomes the command.

    For a child of the process that calls this, started without a `preexec_fn`, which would swallow
    a Ctrl-C that comes while it forks.
    """
    return [sys.executable, __file__, str(os.getpid()), str(int(number)), *command]


def default_signals() -> None:
    """Undo what a process inherits from who started it: signals that are ignored or blocked."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals():
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def adopt_orphans() -> None:
    """Become the parent of what a child leaves behind, instead of init (Linux)."""
    if _prctl:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def package(name: str) -> Path:
    """Find where a package is installed, without importing it; or a folder that is not there."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else Path("/nonexistent")


def raise_file_limit() -> None:
    """Allow as many open files as we may have: a connection is one, the usual limit 1,024.

    Root may have more than the hard limit, and takes what the largest crowd needs.
    """
    hardest = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hardest != resource.RLIM_INFINITY and hardest < MANY_FILES:
        with suppress(ValueError, OSError):  # nor may root everywhere
            resource.setrlimit(resource.RLIMIT_NOFILE, (MANY_FILES, MANY_FILES))
            return
    with suppress(ValueError, OSError):  # macOS says "infinity" and means less
        resource.setrlimit(resource.RLIMIT_NOFILE, (hardest, hardest))


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]), int(sys.argv[2]))
    default_signals()
    raise_file_limit()
    os.execvp(sys.argv[3], sys.argv[3:])
