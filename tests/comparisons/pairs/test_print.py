"""A line is written before the event loop runs anything else."""

import asyncio
import sys

from comparisons.pairs import print as pair
from tests.support.loops import (
    beats,
    beside_a_heartbeat,
)


def test_print_has_written_before_the_event_loop_runs_anything_else(monkeypatch):
    events = []

    class Stream:
        def write(self, text):
            events.append("written")

    monkeypatch.setattr(sys, "stdout", Stream())
    asyncio.run(beside_a_heartbeat(pair.async_print, events))
    assert beats(events, "start", "written") == 0
