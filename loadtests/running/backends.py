"""The servers' connections to PostgreSQL, counted in pg_stat_activity."""

import select
import time
from dataclasses import dataclass

import psycopg
from psycopg.pq import ExecStatus

from loadtests.running.servers import Running
from project.services.service import ServiceError

ABSENCE_TIMEOUT_S = 5  # seconds that a PostgreSQL that restarts may be away
SILENCE_TIMEOUT_S = 60  # seconds that one that has stopped may keep us waiting
TICK, MAX_TICK = 0.05, 0.2  # seconds, and on a busy machine

COUNT = b"""
    SELECT count(*), count(*) FILTER (WHERE state = 'active'), count(xact_start)
    FROM pg_stat_activity WHERE application_name = $1
"""
# Of those that were just used, the next query may be on its way.
END_IDLE = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE application_name = %s AND state = 'idle' AND state_change < now() - interval '10 ms'
"""


@dataclass(frozen=True)
class Counts:
    """Of a server's connections, now: all, those that run a query, those in a transaction."""

    connections: int = 0
    queries: int = 0
    transactions: int = 0


class Backends:
    """Counts over a connection of its own, which is made anew after PostgreSQL was away."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection = psycopg.connect(url, autocommit=True)

    def of(self, server: Running) -> tuple[Counts, float]:
        """Count the server's."""
        return self.count(server.name)

    def count(self, application_name: str) -> tuple[Counts, float]:
        """Return how many there are, and the seconds for which PostgreSQL was silent.

        Raises psycopg.OperationalError when it goes away, and until `wait_for_it`; ServiceError if
        it is silent for too long. They are counted in ticks, of MAX_TICK at most, so that a stop of
        this process itself is none of them.
        """
        silence = 0.0
        libpq = self._connection.pgconn
        libpq.send_query_params(COUNT, [application_name.encode()])
        while libpq.is_busy():
            asked = time.monotonic()
            if select.select([libpq.socket], [], [], TICK)[0]:
                libpq.consume_input()
                continue
            silence += min(time.monotonic() - asked, MAX_TICK)
            if silence > SILENCE_TIMEOUT_S:
                raise ServiceError(f"PostgreSQL has said nothing for {SILENCE_TIMEOUT_S} s")
        result = libpq.get_result()
        if not result or result.status != ExecStatus.TUPLES_OK:
            message = libpq.get_error_message()
            self._connection.close()  # what it still has to say would hinder every later count
            raise psycopg.OperationalError(message)
        while libpq.get_result():  # up to None, which ends the answer
            pass
        return Counts(*(int(result.get_value(0, column) or 0) for column in range(3))), silence

    def end_idle(self, application_name: str) -> None:
        """End those that do nothing at the moment, as when PostgreSQL restarts.

        Raises psycopg.OperationalError as `count` does.
        """
        self._connection.execute(END_IDLE, [application_name])

    def wait_for_it(self) -> None:
        """Return once PostgreSQL answers again. Raises ServiceError if it does not."""
        deadline = time.monotonic() + ABSENCE_TIMEOUT_S
        while self._connection.broken or self._connection.closed:
            try:
                self._connection = psycopg.connect(self._url, autocommit=True)
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    reason = str(error).splitlines()[0]
                    raise ServiceError(f"PostgreSQL went away: {reason}") from None
                time.sleep(0.1)

    def close(self) -> None:
        self._connection.close()
