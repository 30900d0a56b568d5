"""`--pin`: the load generator has the last core for itself, the command the others."""

import os
import sys

from loadtests.orders import CORE


def leave_last_core() -> None:
    """Start this command afresh on all its cores but the last, which is then the generator's.

    Whatever it starts and counts (CORES) has these cores. ValueError if that cannot be.
    """
    if CORE in os.environ:
        return
    if not hasattr(os, "sched_setaffinity"):
        raise ValueError("this system pins no process to a core")
    *others, last = sorted(os.sched_getaffinity(0))
    if not others:
        raise ValueError("there is one core only")
    os.sched_setaffinity(0, others)
    os.environ[CORE] = str(last)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
