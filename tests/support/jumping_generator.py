"""The load generator, on a machine whose clock is set by an hour in its first and third windows."""

import itertools
import time

from loadtests import generator

HOUR = 3600

emit, now = generator.Pipes.emit, time.time
windows = itertools.count(1)
ahead = 0


def emit_and_set_the_clock(pipes, event, **data):
    global ahead
    emit(pipes, event, **data)
    if event == "open" and next(windows) in (1, 3):
        ahead += HOUR


generator.Pipes.emit = emit_and_set_the_clock
time.time = lambda: now() + ahead
generator.main()
