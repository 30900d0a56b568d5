"""A host that somebody else runs: for the rounds it stands where a server of ours would.

Nobody starts it, stops it or looks into it. It is asked for one small page before and after each
round, and has to be the same start of the same server where it says which (X-Deployment).
"""

import ipaddress
import json
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urljoin, urlsplit

from loadtests.asks import Ask
from loadtests.running.asking import Answer, ask, gist
from project.deployments import DEPLOYMENTS, Deployment
from project.errors import FatalError
from project.middleware import HEADER
from project.reasons import one_line

CONNECTS = 5  # of which the quickest is the round trip
TIMEOUT_S = 10
AWAY_S, AGAIN_S = 10, 0.5  # how long it may be away, and how often it is looked for
OURS = "/bystander/"  # which every server of this project answers
PORTS = {"http": 80, "https": 443}


class HostError(FatalError):
    """What somebody else serves cannot be measured. str() is one line that says what to do."""


@dataclass
class Host:
    """addresses: what its name resolves to. watched: the path that shows whether it is there.

    After `meet`: name is what its answers say in X-Deployment, if anything; software its Server
    header; round_trip_ms that of a TCP connection.
    """

    scheme: str
    hostname: str
    port: int
    addresses: tuple[str, ...]
    watched: str = OURS
    bystander: str | None = OURS
    name: str | None = None
    software: str = ""
    round_trip_ms: float | None = None
    urls: Mapping[str, str] = field(default_factory=dict)  # of each row, where they are foreign
    log: Path | None = None  # as a server of ours has: nobody can read it

    @property
    def place(self) -> str:
        """For instance `staging.example.org`, or `127.0.0.1:8000`."""
        host = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.place}"

    @property
    def is_here(self) -> bool:
        """Tell whether it is this machine, by its loopback address."""
        return all(map(_is_loopback, self.addresses))

    @property
    def deployment(self) -> Deployment:
        """What stands in a row's place of a deployment; of its shape nothing is known."""
        return Deployment(
            name=f"at {self.place}",
            about="somebody else's",
            interface=self.interface or "asgi",
            command="",
            app="",
            workers=0,
            threads=0,
            database="none",
            can_fork=False,
        )

    @property
    def served_by(self) -> Deployment | None:
        """The deployment of ours that it says it is, started by `manage.py serve`."""
        return DEPLOYMENTS.get(self.name.partition(" ")[0]) if self.name else None

    @property
    def interface(self) -> Literal["wsgi", "asgi"] | None:
        return self.served_by.interface if self.served_by else None

    @property
    def about(self) -> str:
        """For instance `https://x.org (192.0.2.1), 12 ms away (TCP), Server: nginx`."""
        away = "" if self.round_trip_ms is None else f", {self.round_trip_ms:.3g} ms away (TCP)"
        software = f", Server: {self.software}" if self.software else ""
        return f"{self.url} ({', '.join(self.addresses)}){away}{software}"

    def as_row(self) -> dict[str, Any]:
        """As the result's `environment` has it."""
        return {
            "url": self.url,
            "address": self.addresses[0],
            "round_trip_ms": self.round_trip_ms,
            "server": self.software,
            "x_deployment": self.name and self.name.partition(" ")[0],
            **({"urls": dict(self.urls)} if self.urls else {}),
        }

    def connect(self, timeout_s: float) -> HTTPConnection:
        """Make a connection, which takes no proxy of the environment, and checks a certificate."""
        if self.scheme == "https":
            return HTTPSConnection(self.hostname, self.port, timeout=timeout_s, context=_trust())
        return HTTPConnection(self.hostname, self.port, timeout=timeout_s)

    def get(self, path: str) -> Answer:
        """HostError where it does not answer at all."""
        try:
            return ask(self, Ask(path), TIMEOUT_S)
        except ssl.SSLCertVerificationError as error:
            raise HostError(
                f"{self.url}: its certificate is not trusted: {error.verify_message} "
                "(SSL_CERT_FILE names a file of the authorities to trust)"
            ) from None
        except ssl.SSLError as error:
            said = error.reason or one_line(error)
            raise HostError(f"{self.url} speaks no HTTPS: {said}") from None
        except TimeoutError:
            raise HostError(
                f"{self.url}{path} has not ended after {TIMEOUT_S} s: only requests that end can "
                "be measured"
            ) from None
        except (OSError, HTTPException) as error:
            raise HostError(f"{self.url} does not answer: {_said(error)}") from None

    def meet(self) -> None:
        """Measure how far away it is, and learn what it says of itself. HostError if it is away."""
        self.round_trip_ms = round(1000 * min(self._connects() for _ in range(CONNECTS)), 3)
        answer = self.get(self.watched)
        if self.watched == OURS and not _is_ours(answer):
            raise HostError(
                f"{self.url} does not serve this project ({OURS} answers with "
                f"{answer.status}{gist(answer)}): serve it there, or say what to ask for with "
                "--url PATH"
            )
        self.check(self.watched, answer)
        self.name = answer.headers.get(HEADER.lower())
        self.software = answer.headers.get("server", "")

    def check(self, path: str, answer: Answer | None = None) -> None:
        """Ask for it. HostError, which says what to do, if the answer is none to measure."""
        answer = answer or self.get(path)
        if not 200 <= answer.status < 300:
            raise HostError(f"{self.url}{path} {self._why(path, answer)}")

    def _why(self, path: str, answer: Answer) -> str:
        status, place = answer.status, answer.headers.get("location", "")
        if 300 <= status < 400 and place:
            to = urlsplit(urljoin(f"{self.url}{path}", place))
            said = f"({status} to {place})"
            if "next" in parse_qs(to.query) or "login" in to.path:
                return f"sends to the login {said}: ask for what everybody may see"
            if (to.scheme, to.netloc) != (self.scheme, self.place):
                return f"sends elsewhere {said}: give --host {to.scheme}://{to.netloc}"
            query = f"?{to.query}" if to.query else ""
            return f"sends elsewhere {said}: ask for {to.path}{query}"
        if status in (401, 403):
            return f"answers with {status}: ask for what everybody may see"
        if status == 404:
            return "answers with 404: there is no such page; is it the right --host?"
        if status == 429:
            return "answers with 429: the host limits how often one asks; have that switched off"
        if status == 501:
            return f"answers with 501{gist(answer)}"
        if status >= 500:
            return f"answers with {status}{gist(answer)}: its log says why; mend that first"
        return f"answers with {status}{gist(answer)}: only answers of 2xx are measured"

    def death(self) -> str | None:
        """Say how it has gone, or become another; None while it is there."""
        try:
            answer = self.get(self.watched)
            self.check(self.watched, answer)
        except HostError as error:
            return f"it went away: {error}"
        now = answer.headers.get(HEADER.lower())
        if now == self.name:
            return None
        return f"it was restarted in between, or several answer (now {now}, before {self.name})"

    def come_back(self) -> None:
        """Return when it is there. HostError if it stays away."""
        deadline = time.monotonic() + AWAY_S
        while True:
            last = time.monotonic() > deadline
            try:
                answer = self.get(self.watched)
                self.check(self.watched, answer)
            except HostError as error:
                if last:
                    raise HostError(f"it stays away for {AWAY_S} s: {error}") from None
                time.sleep(AGAIN_S)
            else:
                self.name = answer.headers.get(HEADER.lower())
                return

    def _connects(self) -> float:
        began = time.monotonic()
        try:
            with socket.create_connection((self.hostname, self.port), TIMEOUT_S):
                return time.monotonic() - began
        except OSError as error:
            raise HostError(f"{self.url} cannot be reached: {_said(error)}") from None


def host_of(url: str) -> Host:
    """Read `https://staging.example.org`, and resolve its name. HostError, as elsewhere."""
    try:
        parts = urlsplit(url)
        hostname, port = parts.hostname, parts.port
    except ValueError:
        raise HostError(f"--host: {url!r} is no URL") from None
    if parts.scheme not in PORTS or not hostname:
        raise HostError(f"--host: {url!r} is no URL like https://staging.example.org")
    if parts.username is not None:
        raise HostError("--host: a name and a password in it are not sent: leave them out")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise HostError(f"--host: {url!r} has more than a host: give paths as --url")
    port = port or PORTS[parts.scheme]
    try:
        found = socket.getaddrinfo(hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise HostError(f"--host: there is no host {hostname}: {_said(error)}") from None
    addresses = tuple(dict.fromkeys(str(one[4][0]) for one in found))
    return Host(parts.scheme, hostname, port, addresses)


@cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


def _said(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or one_line(error)


def _is_loopback(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)


def _is_ours(answer: Answer) -> bool:
    try:
        return answer.status == 200 and json.loads(answer.body) == {"ok": True}
    except ValueError:
        return False
