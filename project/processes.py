"""What the starters of processes share."""

import ctypes
import signal
import sys

_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """For `preexec_fn`: the kernel ends the child when its parent dies, even by SIGKILL (Linux).

    It fires when the thread that started the child ends, so start children in the main thread.
    """
    if _prctl:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
