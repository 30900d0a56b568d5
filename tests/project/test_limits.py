"""Limits of a process (ulimit): each that is reached is one line with what to do."""

import errno
import os
import resource
import subprocess
import sys

import psutil
import pytest

from project import limits
from project.limits import LimitError
from project.ports import free_port
from project.processes import BASE_DIR

FILES = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
FORK = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (FILES, "raise ulimit -n"),
        (FORK, "raise ulimit -u"),
        (RuntimeError("can't start new thread"), "raise ulimit -u"),
        (LimitError("uvicorn died (signal 6) at its start: it said nothing"), "see ulimit -u"),
        (MemoryError(), "raise ulimit -v"),
        (LimitError("the load generator died: MemoryError"), "raise ulimit -v"),
    ],
)
def test_limit_that_was_reached_is_named_with_what_to_do(error, advice):
    with pytest.raises(LimitError, match=advice), limits.named():
        raise error


@pytest.mark.parametrize("error", [OSError(errno.ENOENT, "No such file"), RuntimeError("a bug")])
def test_other_errors_stay_what_they_are(error):
    with pytest.raises(type(error)) as raised, limits.named():
        raise error
    assert raised.value is error


def ended(limit, value, *words):
    """A command under this limit, after its end, and what it left."""
    before = set(psutil.Process().children(recursive=True))
    done = subprocess.run(
        [sys.executable, *words],
        preexec_fn=lambda: resource.setrlimit(limit, (value, value)),
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done, set(psutil.Process().children(recursive=True)) - before


AS_ROOT = pytest.mark.skipif(os.geteuid() == 0, reason="root may start as many as it likes")


@pytest.mark.parametrize(
    ("limit", "value", "said"),
    [
        (resource.RLIMIT_NOFILE, 16, "raise ulimit -n"),
        (resource.RLIMIT_AS, 400_000_000, "raise ulimit -v"),
        pytest.param(resource.RLIMIT_NPROC, 1, "raise ulimit -u", marks=AS_ROOT),
    ],
)
@pytest.mark.parametrize(
    "command",
    [["compare", "cpu-bound", "--quick"], ["serve", "asgi-uvicorn", "--port"], ["runserver"]],
    ids=lambda command: command[0],
)
def test_command_ends_in_one_line_that_names_the_limit(command, limit, value, said, tmp_path):
    place = {"compare": ["--output", str(tmp_path / "result.json")]}
    words = [*command, *place.get(command[0], [str(free_port())])]
    done, left = ended(limit, value, "manage.py", *words)
    (line,) = done.stderr.splitlines()
    assert said in line
    assert (done.returncode, left) == (2, set())
