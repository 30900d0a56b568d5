"""The servers' connections to PostgreSQL, counted in pg_stat_activity."""

import time

import psycopg

from project.keeper import ServiceError

ABSENCE_LIMIT = 5  # seconds that a PostgreSQL that restarts may be away


class Backends:
    """Counts over a connection of its own, which is made anew after PostgreSQL was away."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection = psycopg.connect(url, autocommit=True)

    def count(self, application_name: str) -> int:
        """Raises psycopg.OperationalError when PostgreSQL goes away, and until `wait_for_it`."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        row = self._connection.execute(query, [application_name]).fetchone()
        return int(row[0]) if row else 0

    def wait_for_it(self) -> None:
        """Returns once PostgreSQL answers again. Raises ServiceError if it does not."""
        patience = time.monotonic() + ABSENCE_LIMIT
        while self._connection.broken or self._connection.closed:
            try:
                self._connection = psycopg.connect(self._url, autocommit=True)
            except psycopg.OperationalError as error:
                if time.monotonic() > patience:
                    reason = str(error).splitlines()[0]
                    raise ServiceError(f"PostgreSQL went away: {reason}") from None
                time.sleep(0.1)

    def close(self) -> None:
        self._connection.close()
