"""The first calls of each server: they import, connect and fill caches, and show what is broken."""

import shutil
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from pathlib import Path

from comparisons.registry import Client
from loadtests.asks import Ask
from loadtests.judging import metrics
from loadtests.judging.rounds import Round
from loadtests.running import servers
from loadtests.running.rows import Row

CALLS = 2  # of every server before the first round: the first imports, the last is timed
TIMEOUT_S = 30  # of one call
MAX_BODY_MB = 100


class ViewError(Exception):
    """A variant whose first answers show that it cannot be measured. str() is one line.

    problem: without where the log is.
    """

    def __init__(self, variant: str, problem: str, log: str = "") -> None:
        super().__init__(f"{variant} {problem}{log}")
        self.variant = variant
        self.problem = problem


def warm_up(
    slug: str, rows: list[Row], running: list[servers.Running], logs: Path | None = None
) -> list[float]:
    """Make the first calls of each server: they import, connect, fill caches, and do not count.

    All servers at once. Return the seconds that each took for its last call (of several kinds of
    request, on average; 0 where a locustfile says what is called). ViewError if one whose variant
    may not fail does not answer with the right status, or if its body is not that of the others.
    """

    def call(row: Row, server: servers.Running) -> Answer:
        asks = asks_of(slug, row)
        seconds = 0.0
        answer = Answer()
        for ask in asks:
            for _ in range(CALLS):
                began = time.monotonic()
                answer = answer_of(server, ask, any_2xx=not row.is_ours)
                took = time.monotonic() - began
                if answer.failure and not row.variant.may_fail:
                    return answer
            seconds += took * ask.weight
        body = b"" if row.bodies_differ else answer.body
        return replace(answer, body=body, seconds=seconds / (sum(a.weight for a in asks) or 1))

    threads = ThreadPoolExecutor(max(1, len(rows)))
    try:
        answers = list(threads.map(call, rows, running))
    finally:
        threads.shutdown(wait=False)  # what interrupts us ends the servers, and so the calls
    for row, server, answer in zip(rows, running, answers, strict=True):
        if answer.failure and not row.variant.may_fail:
            log = _keep_log(slug, row, server, logs)
            raise ViewError(row.variant.name, answer.failure, log)
    bodies = Counter(answer.body for answer in answers if not answer.failure)
    agreed = bodies.most_common(1)[0][0] if bodies else b""
    for row, server, answer in zip(rows, running, answers, strict=True):
        if not answer.failure and answer.body != agreed:
            other = rows[answers.index(Answer(agreed))].variant.name
            ours, theirs = _around_the_difference(answer.body, agreed)
            log = _keep_log(slug, row, server, logs)
            raise ViewError(row.variant.name, f"answers with {ours}, {other} with {theirs}", log)
    return [answer.seconds for answer in answers]


def asks_of(slug: str, row: Row) -> Sequence[Ask]:
    """What the row's server is asked for: sent at once, and with patience."""
    if not row.is_ours:
        return row.asks
    path = f"/{slug}/{row.route}/{'?seconds=0' if row.waiting else ''}"
    client = row.variant.client or Client()
    return [Ask(path, client.method, body=bytes(int(1_000_000 * client.body_mb)))]


def why_failed(round_: Round, row: Row, server: servers.Running, logs: Path | None) -> str:
    """Return the exception of a variant that fails under load only; "" if it does not, or may."""
    if row.variant.may_fail or not metrics.failures(round_):
        return ""
    said = servers.last_exception(server.log)
    return said and said + _keep_log(round_.comparison, row, server, logs)


def _keep_log(slug: str, row: Row, server: servers.Running, folder: Path | None) -> str:
    """Copy what the server has said, if anything, into the folder. Return a remark about where."""
    if not folder or not server.log or not server.log.stat().st_size:
        return ""
    kept = folder / f"{slug}-{row.variant.name}.log"
    try:
        folder.mkdir(exist_ok=True)
        shutil.copyfile(server.log, kept)
    except OSError as error:
        return f" (its server's log cannot be kept: {error.strerror})"
    return f" (its server's log: {kept})"


@dataclass(frozen=True)
class Answer:
    """What a call got. failure: what is wrong with it; nothing if the status is right."""

    body: bytes = b""
    failure: str = ""
    seconds: float = field(default=0, compare=False)


def answer_of(server: servers.Running, ask: Ask, any_2xx: bool = False) -> Answer:
    """Ask as the users do. any_2xx: all of them are right, and what fails is one of several."""
    answer = _said(server, ask, range(200, 300 if any_2xx else 201))
    if answer.failure and any_2xx:
        return replace(answer, failure=f"({ask.name}) {answer.failure}")
    return answer


def _said(server: servers.Running, ask: Ask, right: range) -> Answer:
    deadline = time.monotonic() + TIMEOUT_S
    body = bytearray()
    try:
        with closing(server.connect(TIMEOUT_S)) as connection:
            connection.request(ask.method, ask.path, ask.body, dict(ask.headers))
            response = connection.getresponse()
            while part := response.read1():
                body += part
                if len(body) > MAX_BODY_MB * 1_000_000:
                    return Answer(failure=f"answers with more than {MAX_BODY_MB} MB")
                if time.monotonic() > deadline:
                    raise TimeoutError
    except TimeoutError:
        return Answer(failure=f"has not answered after {TIMEOUT_S} s")
    except (OSError, HTTPException) as error:
        return Answer(failure=server.death() or f"breaks the connection off ({error!r})")
    if response.status in right:
        return Answer(bytes(body))
    said = servers.last_exception(server.log) or _cut(bytes(body))
    return Answer(bytes(body), f"answers with status {response.status}: {said}")


def _around_the_difference(ours: bytes, theirs: bytes) -> tuple[str, str]:
    """Cut both bodies to what is near their first difference."""
    pairs = enumerate(zip(ours, theirs, strict=False))
    first = next((n for n, (a, b) in pairs if a != b), min(len(ours), len(theirs)))
    start = max(0, first - 20)
    return _cut(ours, start), _cut(theirs, start)


def _cut(body: bytes, start: int = 0) -> str:
    """Return the part that begins at `start`, on one line."""
    part = body[start : start + 60].decode(errors="replace")
    return ("…" if start else "") + repr(part) + ("…" if start + 60 < len(body) else "")
