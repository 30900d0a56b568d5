"""Commands of the project, run to their end, and the signals that they heed."""

import codecs
import io
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout

import pytest
from django.core.management import load_command_class

from project import output
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


def here(name, *arguments, encoding="utf-8"):
    """As `python("manage.py", name, ...)`, in this process: a new one takes a second to start.

    For what a command of `loadtests` says once it runs. What `manage.py` does before that (signals,
    limits, its output), only a process of its own shows.
    """
    codecs.register_error("in_words", output._in_words)
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding, errors="in_words") for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        load_command_class("loadtests", name).run_from_argv(["manage.py", name, *arguments])
    said = []
    for stream in (out, err):
        stream.flush()
        said.append(stream.buffer.getvalue().decode(encoding))
    return subprocess.CompletedProcess(name, end.value.code, *said)


def await_(what, process, seconds=60):
    """Waits for a thing that the run will do; fails if the run ends before."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := what():
            return found
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise TimeoutError
