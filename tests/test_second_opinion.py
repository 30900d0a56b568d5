"""The independent load generator, wrk, beside ours."""

import re
import subprocess
import sys

from loadtests.servers import BASE_DIR


def test_the_second_opinion_measures_the_same_view_with_wrk():
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.second_opinion"],
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        timeout=100,
    )
    # Whether they agree is for a quiet machine to say: exit status 0 or 1.
    assert done.returncode in (0, 1), done.stderr
    ours, theirs = re.search(r"locust ([\d.]+) .* wrk ([\d.]+) ", done.stdout).groups()
    # Ten users of a view that waits for 100 ms: neither can exceed Little's law by much.
    assert 0 < float(ours) < 105
    assert 0 < float(theirs) < 105
