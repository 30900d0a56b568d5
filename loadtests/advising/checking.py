"""Whether each request is answered as it can be measured, before anything is: one line if not."""

import re
from collections.abc import Sequence
from http.client import HTTPException
from urllib.parse import parse_qs, urljoin, urlsplit

from loadtests.advising.probing import death_of
from loadtests.asks import WITHOUT_BODY, Ask
from loadtests.running import servers
from loadtests.running.asking import Answer, ask, gist
from project.errors import FatalError
from project.reasons import one_line, reason

TIMES = 3
TIMEOUT_S = 10


class AnswerError(FatalError):
    """A request whose answers cannot be measured. str() is one line that says what to do."""


def check(server: servers.Running, asks: Sequence[Ask], login_url: str) -> bool:
    """Ask for each a few times; return whether bodies differ from time to time. AnswerError.

    One that has the server's own address differs from server to server. login_url: its path.
    """
    differs = False
    for what in asks:
        since = len(_log(server))
        answers = [_answer(server, what, since) for _ in range(TIMES)]
        statuses = list(dict.fromkeys(answer.status for answer in answers))
        if len(statuses) > 1:
            raise AnswerError(f"{what.name} {_why_unsteady(statuses, last_error(server, since))}")
        if not 200 <= statuses[0] < 300:
            error = last_error(server, since)
            raise AnswerError(f"{what.name} {_why(what, answers[-1], error, login_url)}")
        bodies = {answer.body for answer in answers}
        address = str(server.port).encode()
        differs = differs or len(bodies) > 1 or any(address in body for body in bodies)
    return differs


def _answer(server: servers.Running, what: Ask, since: int) -> Answer:
    try:
        return ask(server, what, TIMEOUT_S)
    except TimeoutError:
        raise AnswerError(
            f"{what.name} has not ended after {TIMEOUT_S} s: only requests that end can be "
            "measured, and a stream without an end is none"
        ) from None
    except (OSError, HTTPException) as error:
        how = death_of(server) or "breaks the connection off"
        said = _log(server)[since:].strip()
        why = last_error(server, since) or (reason(said) if said else one_line(error))
        raise AnswerError(f"{what.name}: {how}: {why}") from None


def _why_unsteady(statuses: Sequence[int], error: str) -> str:
    listed = ", ".join(map(str, statuses))
    if 429 in statuses:
        return f"answers with {listed}: the project limits how often one asks; switch that off"
    if error and max(statuses) >= 500:
        listed += f": {error}"
    return (
        f"answers with another status each time ({listed}): "
        "what is measured has to do the same work each time"
    )


def _why(what: Ask, answer: Answer, error: str, login_url: str) -> str:
    status = answer.status
    if 300 <= status < 400 and "location" in answer.headers:
        return _why_redirected(what, answer, login_url)
    if status == 400 and (host := _header(what, "host")):
        return f"answers with 400: give a --header 'Host: ...' of ALLOWED_HOSTS; is {host!r} one?"
    if status == 403 and what.method not in WITHOUT_BODY and b"csrf" in answer.body.lower():
        token = "give --cookie csrftoken=T and --header 'X-CSRFToken: T', T being 32 letters"
        if b"referer" in answer.body.lower():
            host = "with a host H of ALLOWED_HOSTS"
            token += f", and --header 'Host: H' and --header 'Referer: https://H/' {host}"
        return f"answers with 403, for want of its CSRF token: {token}"
    if status in (401, 403):
        return f"answers with {status}: say who asks, with --cookie sessionid=... or --header"
    if status == 404:
        return "answers with 404: the project has no such page, or not for everybody"
    if status == 405:
        takes = answer.headers.get("allow", "")
        return f"answers with 405: it takes {takes or f'no {what.method}'} (see --method)"
    if status == 429:
        return "answers with 429: the project limits how often one asks; switch that off"
    if status >= 500 and error:
        is_static = "staticfiles manifest" in error
        hint = ": DEBUG is False, so run its manage.py collectstatic" if is_static else ""
        return f"answers with {status}: {error}{hint}"
    return f"answers with {status}{gist(answer)}"


def _why_redirected(what: Ask, answer: Answer, login_url: str) -> str:
    place = answer.headers["location"]
    own = ("127.0.0.1", _header(what, "host").partition(":")[0])
    target = urlsplit(urljoin(f"http://127.0.0.1{what.path}", place))
    query = f"?{target.query}" if target.query else ""
    if login_url in (target.path, place.partition("?")[0]) or "next" in parse_qs(target.query):
        return (
            f"sends to the login ({answer.status} to {place}): log in with a browser, and give "
            "its session as --cookie sessionid=..."
        )
    if what.method not in WITHOUT_BODY:
        return (
            f"sends elsewhere ({answer.status} to {place}), as a form that was taken does: only "
            "answers of 2xx are measured"
        )
    if target.path + query != what.path:
        if target.hostname not in own:
            return f"sends to another host ({answer.status} to {place}), which is not measured"
        return f"sends elsewhere ({answer.status} to {place}): ask for {target.path}{query}"
    if target.scheme == "https":
        return (
            f"sends to HTTPS ({answer.status} to {place}): give what your proxy does, as "
            "--header 'X-Forwarded-Proto: https'"
        )
    return (
        f"sends elsewhere ({answer.status} to {place}): give --header 'Host: {target.hostname}', "
        "or the cookie that it sets"
    )


def last_error(server: servers.Running, since: int = 0) -> str:
    """Return the last exception of its log, with the project's own line that it came from.

    since: how much of the log is not looked at.
    """
    said = _log(server)[since:]
    exception = servers.exception_in(said)
    folder = f"{server.deployment.folder}/"
    # The last traceback's, or else of the one that it followed from.
    for part in (said.rpartition("Traceback (most recent call last)")[2], said):
        own = [
            f"{path.removeprefix(folder)}:{line}"
            for path, line in re.findall(r'File "(.+?)", line (\d+)', part)
            if path.startswith(folder) and "site-packages" not in path
        ]
        if own and exception:
            return f"{exception} ({own[-1]})"
    return exception


def _log(server: servers.Running) -> str:
    log = server.log
    return log.read_text(errors="replace") if log and log.exists() else ""


def _header(what: Ask, name: str) -> str:
    return next((value for key, value in what.headers.items() if key.lower() == name), "")
