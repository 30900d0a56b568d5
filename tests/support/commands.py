"""Commands of the project, run to their end, and the signals that they heed."""

import os
import signal
import subprocess
import sys
import time

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


def await_(what, process):
    """Waits for a thing that the run will do; fails if the run ends before."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := what():
            return found
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise TimeoutError
