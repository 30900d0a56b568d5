"""Commands of the project, run to their end, and the signals that they heed."""

import os
import signal
import subprocess
import sys

from project.processes import BASE_DIR


def let_children_heed_signals():
    """A suite that a script or nohup started may ignore these; what it starts must not.

    A handler, even one that does nothing, is not inherited by a program: the default is.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def python(*arguments, **environ):
    """The ended process: exit status, output, and what it said on stderr, as text."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=BASE_DIR,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=110,
    )
