"""CPU time to use: what a view computes, where it does not matter what."""

import time


def compute(seconds: float) -> None:
    """Take so many seconds of CPU time of this thread, in Python: with the GIL."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
