"""Commands of the project, run to their end, and the signals that they heed."""

import io
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr

import pytest
from django.core.management import load_command_class

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


def refused(name, *arguments):
    """What a command of `loadtests` says that refuses its arguments, in this process.

    Its exit status and stderr, as of the ended process: such a command has done nothing else yet,
    and the start of a process takes a second.
    """
    said = io.StringIO()
    with redirect_stderr(said), pytest.raises(SystemExit) as end:
        load_command_class("loadtests", name).run_from_argv(["manage.py", name, *arguments])
    return subprocess.CompletedProcess(name, end.value.code, stderr=said.getvalue())


def await_(what, process):
    """Waits for a thing that the run will do; fails if the run ends before."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := what():
            return found
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise TimeoutError
