"""Whether each request is answered as it can be measured, before anything is: one line if not."""

import re
from collections.abc import Sequence
from http.client import HTTPException

from loadtests.advising.probing import Answer, ask
from loadtests.asks import Ask
from loadtests.running import servers
from project.errors import FatalError

TIMES = 3
TIMEOUT_S = 10


class AnswerError(FatalError):
    """A request whose answers cannot be measured. str() is one line that says what to do."""


def check(server: servers.Running, asks: Sequence[Ask], login_url: str) -> bool:
    """Ask for each a few times; return whether bodies differ from time to time. AnswerError.

    One that has the server's own address differs from server to server.
    """
    differs = False
    for what in asks:
        answers = [_answer(server, what) for _ in range(TIMES)]
        statuses = list(dict.fromkeys(answer.status for answer in answers))
        if len(statuses) > 1:
            listed = ", ".join(map(str, statuses))
            raise AnswerError(
                f"{what.name} answers with another status each time ({listed}): "
                "what is measured has to do the same work each time"
            )
        if not 200 <= statuses[0] < 300:
            raise AnswerError(f"{what.name} {_why(server, what, answers[-1], login_url)}")
        bodies = {answer.body for answer in answers}
        address = str(server.port).encode()
        differs = differs or len(bodies) > 1 or any(address in body for body in bodies)
    return differs


def _answer(server: servers.Running, what: Ask) -> Answer:
    try:
        return ask(server, what, TIMEOUT_S)
    except TimeoutError:
        raise AnswerError(
            f"{what.name} has not ended after {TIMEOUT_S} s: only requests that end can be "
            "measured, and a stream without an end is none"
        ) from None
    except (OSError, HTTPException) as error:
        death = server.death()
        why = f"{death}: {servers.said(server.log)}" if death else f"breaks off ({error!r})"
        raise AnswerError(f"{what.name} {why}") from None


def _why(server: servers.Running, what: Ask, answer: Answer, login_url: str) -> str:
    status, place = answer.status, answer.headers.get("location", "")
    if 300 <= status < 400:
        if "login" in place or (login_url and login_url.strip("/") in place):
            return (
                f"sends to the login ({status} to {place}): log in with a browser, and give its "
                "session as --cookie sessionid=..."
            )
        return f"sends elsewhere ({status} to {place}): ask for that with --url"
    if status == 403 and what.method not in ("GET", "HEAD", "OPTIONS"):
        return (
            "answers with 403: a form needs its CSRF token; give --cookie csrftoken=T and "
            "--header 'X-CSRFToken: T', with one T"
        )
    if status in (401, 403):
        return f"answers with {status}: give who asks, as --cookie sessionid=... or --header"
    if status == 404:
        return "answers with 404: the project has no such page, or not for everybody"
    if status == 405:
        return f"answers with 405: it takes no {what.method} (see --method)"
    if status >= 500 and (error := last_error(server)):
        return f"answers with {status}: {error}"
    return f"answers with {status}{_title(answer.body)}"


def last_error(server: servers.Running) -> str:
    """Return the last exception of its log, with the project's own line that it came from."""
    exception = servers.last_exception(server.log)
    if not exception or not server.log:
        return ""
    said = server.log.read_text(errors="replace").rpartition("Traceback (most recent")[2]
    own = [
        f"{path}:{line}"
        for path, line in re.findall(r'File "(.+?)", line (\d+)', said)
        if path.startswith(f"{server.deployment.folder}/") and "site-packages" not in path
    ]
    place = own[-1].removeprefix(f"{server.deployment.folder}/") if own else ""
    return f"{exception} ({place})" if place else exception


def _title(body: bytes) -> str:
    found = re.search(r"<title>\s*(.*?)\s*</title>", body.decode(errors="replace"), re.DOTALL)
    return f" ({' '.join(found[1].split())[:80]})" if found else ""
