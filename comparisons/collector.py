"""A slow collector of log records: the upstream, as Python's own HTTPHandler talks to it."""

import http.client
import logging
from logging.handlers import HTTPHandler
from urllib.parse import urlsplit

from django.conf import settings


class CollectorHandler(HTTPHandler):
    """Sends each record to the collector and waits until it is confirmed, which takes it `ms`.

    HTTPHandler leaves its connections to the garbage collector; here they are closed.
    """

    def __init__(self, ms: int) -> None:
        parts = urlsplit(settings.UPSTREAM_URL)
        path = f"{parts.path.rstrip('/')}/wait/{ms}"
        super().__init__(parts.netloc, path, secure=parts.scheme == "https")

    def getConnection(self, host: str, secure: bool) -> http.client.HTTPConnection:  # noqa: N802
        self.connection = super().getConnection(host, secure)
        return self.connection

    def emit(self, record: logging.LogRecord) -> None:
        """Runs under the handler's lock: one record at a time, whatever the number of threads."""
        super().emit(record)
        self.connection.close()
