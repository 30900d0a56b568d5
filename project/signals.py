"""Signals that end a command: in good order, once, with exit status 128 + the signal's number.

Until there is anything to clean up they end it on the spot (`handle`). Inside `raised` the first is
raised as Stopped, and what comes while that leads out of the command is ignored: every wait of the
cleanup has an end. Inside `held`, which is around each cleanup of its own and around what must not
be left half done, a signal waits for the end of the block.

For the main thread, which is the one that Python calls signal handlers in.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# All that end a process by default, be it Ctrl-C, a closed terminal or a limit of CPU time, but
# for those below: not to be handled, faults of the process itself, job control, what is ignored by
# default, and what Python makes an OSError of.
OTHERS = (
    "KILL STOP SEGV BUS FPE ILL TRAP ABRT SYS EMT TSTP TTIN TTOU CONT CHLD URG WINCH INFO PIPE XFSZ"
)
ENDING = signal.valid_signals() - {getattr(signal, f"SIG{name}", None) for name in OTHERS.split()}

_raising = _stopping = False
_held = 0  # blocks inside each other
_waiting: int | None = None  # came inside them


class Stopped(SystemExit):
    """The command is to end, because of a signal."""

    def __init__(self, number: int) -> None:
        self.number, self.status = number, 128 + number
        super().__init__(self.status)

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.number).name}"


def handle() -> None:
    """Handle the signals that end a command, from here on.

    One that is ignored (by nohup, by a shell that runs a job in the background) stays ignored.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, no child would have an exit status
    for number in ENDING:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _end)
    sys.unraisablehook = _send_again


def _end(number: int, _frame: FrameType | None = None) -> None:
    global _stopping, _waiting
    if _stopping:
        return
    if _held:
        _waiting = _waiting or number
        return
    if not _raising:
        os._exit(128 + number)
    _stopping = True
    raise Stopped(number)


def _send_again(unraisable: Any) -> None:
    """Send a signal again that came in a finalizer, where nothing can catch it.

    And again, if it came back before this hook has ended: here it would be lost too.
    """
    global _stopping
    if not isinstance(unraisable.exc_value, Stopped):
        sys.__unraisablehook__(unraisable)
        return
    sent = False
    while not sent:
        try:
            _stopping = False
            threading.Timer(0.01, os.kill, (os.getpid(), unraisable.exc_value.number)).start()
            sent = True
        except Stopped:
            pass


@contextmanager
def raised() -> Iterator[None]:
    """Raise a signal as Stopped inside the block; after it, one ends the process again.

    If one has ended the block, all later ones are ignored: Python itself, as it ends, would give
    them their deadly defaults back.
    """
    global _raising
    _raising = True
    try:
        yield
    finally:
        _raising = False
        if _stopping:
            for number in ENDING:
                if signal.getsignal(number) == _end:
                    signal.signal(number, signal.SIG_IGN)


@contextmanager
def held() -> Iterator[None]:
    """Let a signal wait for the end of the block."""
    global _held, _waiting
    _held += 1
    try:
        yield
    finally:
        _held -= 1
        if _waiting and not _held:
            number, _waiting = _waiting, None
            _end(number)


@contextmanager
def as_usual() -> Iterator[None]:
    """Make Ctrl-C a KeyboardInterrupt inside the block, as often as it comes: for Django's own.

    (In a shell it ends a line and not the shell.) They may set handlers of their own.
    """
    before = {number: signal.getsignal(number) for number in ENDING}
    if before[signal.SIGINT] == _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
