"""What the starters of processes share."""

import ctypes
import signal
import sys

_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def die_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """For `preexec_fn`: the kernel sends the signal when the parent dies, even by SIGKILL (Linux).

    It fires when the thread that started the child ends, so start children in the main thread.
    """
    if _prctl:
        _prctl(_PR_SET_PDEATHSIG, number)


def adopt_orphans() -> None:
    """What a child leaves behind becomes ours to end, instead of init's (Linux)."""
    if _prctl:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
