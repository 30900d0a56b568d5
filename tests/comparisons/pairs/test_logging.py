"""A handler that waits holds the event loop; a queue does not, and loses records when full."""

import asyncio
import inspect
import queue
import subprocess
import sys
import threading

from django.conf import settings

from comparisons.pairs import logging
from tests.support.clients import PATIENCE
from tests.support.loops import (
    beats,
    beats_of,
    beside_a_heartbeat,
)


def test_event_loop_runs_nothing_else_until_the_collector_has_confirmed(monkeypatch):
    emit, events = logging.CollectorHandler.emit, []

    def emit_and_tell(self, record):
        events.append("sending")
        emit(self, record)
        events.append("confirmed")

    monkeypatch.setattr(logging.CollectorHandler, "emit", emit_and_tell)
    asyncio.run(beside_a_heartbeat(logging.async_blocking, events))
    assert beats(events, "sending", "confirmed") == 0
    assert beats(events) > 0  # it does while the view waits for the upstream


def test_view_that_queues_a_record_answers_before_the_collector_confirms(monkeypatch):
    sending, may_confirm, confirmed = (threading.Event() for _ in range(3))

    def emit_when_allowed(self, record):
        sending.set()
        may_confirm.wait(PATIENCE)
        confirmed.set()

    monkeypatch.setattr(logging.CollectorHandler, "emit", emit_when_allowed)
    assert beats_of(logging.async_queued) > 0
    assert sending.wait(PATIENCE)
    assert not confirmed.is_set()
    may_confirm.set()
    assert confirmed.wait(PATIENCE)


def test_full_queue_loses_records_and_makes_nobody_wait(monkeypatch):
    records = queue.Queue()
    monkeypatch.setattr(logging, "RECORDS", records)
    monkeypatch.setattr(logging, "MAX_QUEUED", 2)
    monkeypatch.setattr(logging, "start_listener", lambda: None)  # nobody empties it
    for number in range(4):
        logging.queued.info("record %d", number)
    assert [records.get_nowait().message for _ in range(records.qsize())] == [
        "record 0",
        "record 1",
    ]


def test_records_queued_when_the_process_ends_are_sent_before():
    program = """
        import django, threading
        django.setup()
        from comparisons.pairs import logging
        emit, ended = logging.CollectorHandler.emit, threading.Event()
        def emit_and_tell(self, record):
            ended.wait()
            emit(self, record)
            print(record.getMessage())
        logging.CollectorHandler.emit = emit_and_tell
        for number in range(5):
            logging.queued.info("record %d", number)
        print("end")
        ended.set()
    """
    done = subprocess.run(
        [sys.executable, "-c", inspect.cleandoc(program)],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    # The program did not wait for them: they are sent at its end.
    assert done.stdout.splitlines() == ["end", *(f"record {number}" for number in range(5))]
