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
        super().__init__("not-known-yet", f"/wait/{ms}")
        self.path = self.url

    def getConnection(self, host: str, secure: bool) -> http.client.HTTPConnection:  # noqa: N802
        self.connection = super().getConnection(host, secure)
        return self.connection

    def emit(self, record: logging.LogRecord) -> None:
        """Send the record under the handler's lock: one at a time, whatever the number of threads.

        Pairs make their handlers when they are imported, so that the settings are read here.
        """
        address = urlsplit(settings.UPSTREAM_URL)
        self.host, self.secure = address.netloc, address.scheme == "https"
        self.url = address.path.rstrip("/") + self.path
        super().emit(record)
        self.connection.close()


def logger_to(handler: logging.Handler) -> logging.Logger:
    """Return a logger with this handler and no other, outside the tree of loggers."""
    logger = logging.Logger("comparisons", logging.INFO)
    logger.addHandler(handler)
    return logger
