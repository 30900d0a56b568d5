"""How signals end a command, step by step; test_interruptions.py has whole commands."""

import pytest

from tests.support.commands import python

BEGIN = """
import signal, time
from project import signals
signals.handle()
def send(): signal.raise_signal(signal.SIGTERM)
"""
CASES = {
    "at once while nothing is to be cleaned up": ("send(); print('went on')", ""),
    "after what is held": (
        "with signals.raised():\n"
        "    with signals.held():\n"
        "        send(); print('whole')\n"
        "    print('went on')",
        "whole\n",
    ),
    "after what is held inside what is held": (
        "with signals.raised(), signals.held():\n"
        "    with signals.held(): send()\n"
        "    print('whole')",
        "whole\n",
    ),
    "once: the cleanup goes on": (
        "with signals.raised():\n    try: send()\n    finally: send(); print('cleaned up')",
        "cleaned up\n",
    ),
    "once: the end goes on": (
        "try:\n"
        "    with signals.raised(): send()\n"
        "except signals.Stopped as stop: send(); print(stop); raise",
        "stopped by SIGTERM\n",
    ),
    "also where it came in a finalizer": (
        "class Object:\n"
        "    def __del__(self): send()\n"
        "with signals.raised():\n"
        "    Object()\n"
        "    while True: time.sleep(0.01)",
        "",
    ),
    "also where it came back before the finalizer had ended": (
        "import threading\n"
        "start, came = threading.Timer.start, []\n"
        "def slow(timer):\n"
        "    start(timer)\n"
        "    if not came: came.append(1); time.sleep(1)\n"
        "threading.Timer.start = slow\n"
        "class Object:\n"
        "    def __del__(self): send()\n"
        "with signals.raised():\n"
        "    Object()\n"
        "    while True: time.sleep(0.01)",
        "",
    ),
}


@pytest.mark.parametrize(("code", "said"), CASES.values(), ids=CASES)
def test_signal_ends_a_process(code, said):
    done = python("-c", BEGIN + code)
    assert (done.returncode, done.stdout, done.stderr) == (143, said, "")


def test_ctrl_c_in_a_command_of_djangos_is_a_keyboard_interrupt_as_often_as_it_comes():
    code = """
with signals.raised(), signals.as_usual():
    for _ in range(2):
        try: signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt: print("interrupted")
with signals.raised(): signal.raise_signal(signal.SIGINT)
"""
    done = python("-c", BEGIN + code)
    assert (done.returncode, done.stdout) == (130, "interrupted\ninterrupted\n")


def test_ignored_signal_stays_ignored():
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    done = python("-c", ignore + BEGIN + "send(); print('went on')")
    assert (done.returncode, done.stdout) == (0, "went on\n")
