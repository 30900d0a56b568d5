"""What the tests do before they start a command."""

from tests.support.commands import python

SUITE = """
import signal, subprocess, sys
from tests.support.commands import let_children_heed_signals
signals = signal.SIGINT, signal.SIGHUP, signal.SIGTERM
for number in signals:
    signal.signal(number, signal.SIG_IGN)
let_children_heed_signals()
child = "import signal; print(*(signal.getsignal(n) is not signal.SIG_IGN for n in (%d, %d, %d)))"
subprocess.run([sys.executable, "-c", child % signals])
"""


def test_commands_heed_signals_that_the_suite_ignores():
    assert python("-c", SUITE).stdout == "True True True\n"
