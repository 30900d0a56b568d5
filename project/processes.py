"""What the starters of processes share."""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def die_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """For `preexec_fn`: the kernel sends the signal when the parent dies, even by SIGKILL (Linux).

    It fires when the thread that started the child ends, so start children in the main thread.
    """
    if _prctl:
        _prctl(_PR_SET_PDEATHSIG, number)


def dying_with_parent(command: Sequence[str]) -> list[str]:
    """The command, wrapped in this file: `die_with_parent`, then exec.

    For `subprocess` without a `preexec_fn`, which would swallow a Ctrl-C that comes while it forks.
    """
    return [sys.executable, __file__, *command]


def adopt_orphans() -> None:
    """What a child leaves behind becomes ours to end, instead of init's (Linux)."""
    if _prctl:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


if __name__ == "__main__":
    die_with_parent()
    os.execvp(sys.argv[1], sys.argv[1:])
