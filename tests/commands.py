"""Commands of the project, run to their end."""

import os
import subprocess
import sys

from project.processes import BASE_DIR


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
