"""The exit statuses of our commands; others are 128 + the signal that ended one."""

OK = 0
REFUTED = 1  # `compare --check`: an expectation is refuted; a study: it disagrees
CANNOT_RUN = 2  # bad arguments, a service that cannot start, output that cannot be written
UNDECIDED = 3  # `compare --check`: an expectation is inconclusive or invalid, and none is refuted
INTERRUPTED = 130  # Ctrl-C
BROKEN_PIPE = 141  # nobody reads our output any more
