"""Does a noisy neighbour flip a verdict? `python -m loadtests.studies.disturbed [SLUG ...]`

Runs `compare --quick` twice, undisturbed and beside processes that use every core for some seconds,
then rest for as many; and lists the verdicts that differ. Exit status 1 if one has flipped, from
holds to refuted or back; that one becomes inconclusive or invalid is what should happen.
"""

from project import command, exit_status

if __name__ == "__main__":
    command.begin()

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from comparisons.cores import CORES
from project.processes import die_with_parent

BUSY = 4.0  # seconds on, and as many off
SLUGS = ("blocking-call", "cpu-bound", "workers", "sequential-awaits")


def hog(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # its parent ends it
    die_with_parent(parent)
    while True:
        start = time.monotonic()
        while time.monotonic() < start + BUSY:
            pass
        time.sleep(BUSY)


def verdicts(slugs: list[str], folder: Path, name: str) -> dict[tuple[str, str], str]:
    """Run `compare` and return the verdict of each expectation."""
    output = folder / f"{name}.json"
    words = [sys.executable, "manage.py", "compare", "--quick", "--output", str(output), *slugs]
    done = command.run_child(words, stdout=subprocess.PIPE)
    if done.returncode:
        sys.exit(done.returncode)
    print(f"{name}: {done.stdout.splitlines()[-1]}", flush=True)
    found = json.loads(output.read_text())["verdicts"]
    return {(row["comparison"], row["expectation"]): row["verdict"] for row in found}


def main() -> int:
    slugs = sys.argv[1:] or list(SLUGS)
    with tempfile.TemporaryDirectory() as folder:
        quiet = verdicts(slugs, Path(folder), "undisturbed")
        hogs = [
            multiprocessing.Process(target=hog, args=[os.getpid()], daemon=True)
            for _ in range(CORES)
        ]
        for process in hogs:
            process.start()
        try:
            noisy = verdicts(slugs, Path(folder), "disturbed")
        finally:
            for process in hogs:
                process.kill()
    for expectation, before in quiet.items():
        if (after := noisy[expectation]) != before:
            print(f"{': '.join(expectation)}: {before}, disturbed {after}")
    flipped = [e for e in quiet if {quiet[e], noisy[e]} == {"holds", "refuted"}]
    print(f"{len(flipped)} of {len(quiet)} verdicts flipped")
    return exit_status.REFUTED if flipped else exit_status.OK


if __name__ == "__main__":
    command.run(main)
