"""What is asked for where no variant says it: the reader's own URLs, in a mix.

Asks come from options (`asks_of`) or from a file (`read_requests`); a load generator takes them in
the order of `mixed`. What is wrong with one is one line: AskError.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
WITHOUT_BODY = ("GET", "HEAD", "OPTIONS")
HERE = ("127.0.0.1", "localhost", "::1")  # hosts of a full URL that may mean the measured server
FRAMING = ("content-length", "transfer-encoding", "connection")  # headers that the client sets
# What servers take without being told to: gunicorn has lines of 4,094 bytes, headers of 8,190.
MAX_URL, MAX_HEADER, MAX_BODY = 4_000, 8_000, 10_000_000  # bytes
MAX_ASKS, MAX_WEIGHT = 1_000, 1_000_000

URL_HELP = (
    "a path of the project with its query, like /orders/?page=2; repeat it for a mix. How often it "
    'comes beside the others stands before it, after which comes a space: "3 /orders/"'
)
REQUESTS_HELP = (
    "a file of requests: a JSON list of {url, method, headers, body, weight}, of which only the "
    "url is needed (a body that is no string is sent as JSON); or lines like `GET /orders/ 3`, "
    "method and weight being optional, # begins a comment"
)
LOCUSTFILE_HELP = (
    "a locustfile of your own, in place of URLs: its HttpUsers and FastHttpUsers come by their "
    "weights, do their tasks and wait as it says; its host and its LoadTestShape are not used"
)

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # a tab is none
_NOT_SPACE = re.compile(r"\S")
_NUMBER = re.compile(r"\d+(\.\d+)?")
_SENT_AS_IS = "%!$&'()*+,/:;=?@[]~"  # besides letters, digits and _.-


class AskError(ValueError):
    """A request that cannot be sent. str() is one line."""


@dataclass(frozen=True)
class Ask:
    """One kind of request. weight: how often it comes, beside the others'."""

    path: str  # with its query
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    weight: float = 1

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    def as_row(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"body": base64.b64encode(self.body).decode()}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Ask":
        return cls(**{**row, "body": base64.b64decode(row["body"])})


# --- The mix


def mixed(asks: Sequence[Ask]) -> Iterator[Ask]:
    """Yield them without end, each as often as its weight says, as evenly as can be.

    The smooth weighted round robin of nginx: every ask earns its weight in each turn; the richest
    has the turn, and pays for all. One such iterator for all users of a round, so that each begins
    elsewhere, and a slow kind of request does not become rarer.
    """
    total = sum(ask.weight for ask in asks)
    earned = [0.0] * len(asks)
    while True:
        for index, ask in enumerate(asks):
            earned[index] += ask.weight
        richest = max(range(len(asks)), key=earned.__getitem__)
        earned[richest] -= total
        yield asks[richest]


def shares(asks: Sequence[Ask]) -> dict[str, float]:
    """Return the share of all requests, 0..1, of each name."""
    total = sum(ask.weight for ask in asks)
    found: dict[str, float] = {}
    for ask in asks:
        found[ask.name] = found.get(ask.name, 0) + ask.weight / total
    return found


# --- From options


def asks_of(
    urls: Iterable[str],
    method: str = "GET",
    headers: Iterable[str] = (),
    cookies: Iterable[str] = (),
    body: str | None = None,
    requests: Path | None = None,
) -> list[Ask]:
    """Make the asks of `--url`, which all have this method and body, and those of `--requests`.

    headers: `Name: value`, cookies: `name=value`; of all of them, but where a request of the file
    has a header of that name itself. body: text, or @FILE. AskError if anything is wrong.
    """
    given = _headers_of(headers, cookies)
    sent, typed = _body_of(body)
    own = given if typed is None or _has(given, "content-type") else {**given, **typed}
    asks = [_ask(*_weighted(url), method=method, headers=own, body=sent) for url in urls]
    if requests:
        asks += read_requests(requests, given)
    if len(asks) > MAX_ASKS:
        raise AskError(f"{len(asks)} kinds of request are too many: at most {MAX_ASKS}")
    return _merged(asks)


def _weighted(text: str) -> tuple[str, float]:
    """Split `3 /orders/` into the URL and its weight, which is 1 where it says none."""
    weight, space, url = text.strip().partition(" ")
    if not space:
        return weight, 1
    if not _NUMBER.fullmatch(weight):
        raise AskError(f"{text!r} has a space: it is %20 in a URL; a weight is a number before it")
    return url.strip(), float(weight)


def _headers_of(headers: Iterable[str], cookies: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in headers:
        name, colon, value = text.partition(":")
        if not colon:
            raise AskError(f"the header {text!r} has no colon: it is 'Name: value'")
        if _has(found, name.strip()):
            raise AskError(f"the header {name.strip()!r} is given twice")
        found[name.strip()] = value.strip()
    pairs = list(map(_cookie, cookies))
    if pairs:
        if _has(found, "cookie"):
            raise AskError("cookies are given as a header and by themselves: use one of both")
        found["Cookie"] = "; ".join(pairs)
    return found


def _cookie(text: str) -> str:
    name, equals, value = text.partition("=")
    if not equals or not _TOKEN.fullmatch(name):
        raise AskError(f"the cookie {text!r} is not 'name=value'")
    if ";" in value or "," in value or not value.isprintable():
        raise AskError(f"the cookie {name!r} has a character in its value that none can have")
    return text


def _body_of(text: str | None) -> tuple[bytes, dict[str, str] | None]:
    """Return the body and the header that says its type: JSON, or a form as HTML's are."""
    if text is None:
        return b"", None
    if text.startswith("@"):
        try:
            body = _content(Path(text[1:]), MAX_BODY)
        except OSError as error:
            raise AskError(f"the body {text[1:]} cannot be read: {error.strerror}") from None
    else:
        body = text.encode(errors="surrogateescape")
    try:
        is_json = isinstance(json.loads(body), dict | list)
    except ValueError:
        is_json = False
    kind = "application/json" if is_json else "application/x-www-form-urlencoded"
    return body, {"Content-Type": kind}


# --- From a file


def read_requests(file: Path, headers: Mapping[str, str] | None = None) -> list[Ask]:
    """Read a file of requests. headers: what each of them has, unless it says its own.

    AskError, as `file:line: what is wrong`.
    """
    try:
        text = _content(file, 20 * MAX_BODY).decode()
    except OSError as error:
        raise AskError(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        line = 1
        if isinstance(error, UnicodeDecodeError):
            line = error.object.count(b"\n", 0, error.start) + 1
            error = AskError("it is no text in UTF-8")
        raise AskError(f"{file}:{line}: {error}") from None
    text = text.removeprefix("\ufeff")
    read, made = (_objects, _of_row) if text.lstrip().startswith("[") else (_lines, _of_words)
    asks: list[Ask] = []
    try:
        for line, entry in read(text):
            try:
                if len(asks) == MAX_ASKS:
                    raise AskError(f"more than {MAX_ASKS} kinds of request are too many")
                ask = made(entry)
                ours = {n: v for n, v in (headers or {}).items() if not _has(ask.headers, n)}
                asks.append(_checked(replace(ask, headers={**ours, **ask.headers})))
            except AskError as error:
                raise _PlacedError(line, str(error)) from None
    except _PlacedError as error:
        raise AskError(f"{file}:{error.line}: {error}") from None
    if not asks:
        raise AskError(f"{file}:1: it has no requests")
    return _merged(asks)


class _PlacedError(Exception):
    """What is wrong in this line."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the words of each line with a request."""
    for number, line in enumerate(text.splitlines(), 1):
        if (words := line.split()) and not words[0].startswith("#"):
            yield number, words


def _of_words(words: list[str]) -> Ask:
    line = " ".join(words)
    method = "GET" if "/" in words[0] else words.pop(0)
    if not words or len(words) > 2:
        raise AskError(f"{line!r} is no line like 'GET /orders/ 3'")
    if len(words) == 2 and not _NUMBER.fullmatch(words[1]):
        raise AskError(f"the weight {words[1]!r} is no number above 0")
    return _ask(words[0], float(words[1]) if len(words) == 2 else 1, method=method)


def _objects(text: str) -> Iterator[tuple[int, Any]]:
    """Yield the elements of the JSON list, each with the line that it begins in."""

    def line_of(place: int) -> int:
        return text.count("\n", 0, place) + 1

    def skip(place: int) -> int:
        found = _NOT_SPACE.search(text, place)
        return found.start() if found else len(text)

    decoder = json.JSONDecoder()
    place = skip(text.index("[") + 1)
    while text[place : place + 1] != "]":
        began = place
        try:
            element, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            raise _PlacedError(error.lineno, f"it is no JSON: {error.msg}") from None
        except RecursionError:
            raise _PlacedError(line_of(began), "it is no list of requests") from None
        yield line_of(began), element
        place = skip(place)
        if text[place : place + 1] == ",":
            place = skip(place + 1)
        elif text[place : place + 1] != "]":
            raise _PlacedError(line_of(place), "it is no JSON: a comma or ] is expected")
    if (rest := skip(place + 1)) < len(text):
        raise _PlacedError(line_of(rest), "something stands after the end of the list")


def _of_row(row: Any) -> Ask:
    if not isinstance(row, dict):
        raise AskError(f"{_short(row)} is no request: that is an object with a url")
    known = ("url", "method", "headers", "body", "weight")
    for name in row:
        if name not in known:
            raise AskError(f"a request has no {name!r}; it has {', '.join(known)}")
    url, method, headers = row.get("url"), row.get("method", "GET"), row.get("headers", {})
    if not isinstance(url, str):
        raise AskError("it has no url" if url is None else f"the url {_short(url)} is no text")
    if not isinstance(method, str):
        raise AskError(f"the method {_short(method)} is no text")
    if not isinstance(headers, dict) or not all(isinstance(v, str) for v in headers.values()):
        raise AskError(f"headers are {_short(headers)}; they are an object of names and texts")
    body = row.get("body")
    if body is None:
        sent = b""
    elif isinstance(body, str):
        sent, typed = body.encode(errors="surrogatepass"), "application/x-www-form-urlencoded"
    else:
        sent, typed = json.dumps(body).encode(), "application/json"
    if sent and not _has(headers, "content-type"):
        headers = {**headers, "Content-Type": typed}
    return _ask(url, row.get("weight", 1), method=method, headers=headers, body=sent)


def _content(file: Path, most: int) -> bytes:
    with open(file, "rb") as opened:
        content = opened.read(most + 1)
    if len(content) > most:
        raise AskError(f"{file} is larger than {most // 1_000_000} MB")
    return content


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


# --- What is refused


def _ask(
    url: str,
    weight: Any,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Ask:
    return _checked(Ask(_path(url), method.upper(), headers or {}, body, weight))


def _path(url: str) -> str:
    """Return what the server is asked for: the path and the query, as they are sent."""
    if not url.startswith("/") or url.startswith("//"):
        url = _of_full_url(url)
    if any(character.isspace() for character in url):
        raise AskError(f"{url!r} has a space or the end of a line: a space is %20 in a URL")
    if "#" in url:
        raise AskError(f"{url!r} has a #, which is not sent: write %23, or leave it out")
    try:
        path = quote(url, safe=_SENT_AS_IS)
    except UnicodeEncodeError:
        raise AskError(f"{url!r} is no text in UTF-8") from None
    if len(path) > MAX_URL:
        raise AskError(f"a URL of {len(path)} bytes is too long: at most {MAX_URL}")
    return path


def _of_full_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, path = parts.hostname, url.partition("//")[2].partition("/")[2]
    except ValueError:
        raise AskError(f"{url!r} is no URL") from None
    if not host or parts.scheme not in ("http", "https", ""):
        raise AskError(f"{url!r} is no path of the project: it begins with /")
    if host not in HERE:
        raise AskError(
            f"{url!r} is of another host: the measured servers run here, so ask for /{path}"
        )
    return f"/{path}"


def _checked(ask: Ask) -> Ask:
    """Return it, if it can be sent."""
    if ask.method not in METHODS:
        raise AskError(f"the method {ask.method!r} is none of {', '.join(METHODS)}")
    if ask.body and ask.method in WITHOUT_BODY:
        raise AskError(f"a {ask.method} has no body: say the method, POST, PUT, PATCH or DELETE")
    if len(ask.body) > MAX_BODY:
        raise AskError(f"a body of {len(ask.body):,} bytes is too large: at most {MAX_BODY:,}")
    weight: Any = ask.weight
    is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not is_number or not isfinite(weight) or not 0 < weight <= MAX_WEIGHT:
        raise AskError(f"the weight {weight!r} is no number above 0, to {MAX_WEIGHT:,}")
    for name, value in ask.headers.items():
        _check_header(name, value)
    if sum(len(name) + len(value) for name, value in ask.headers.items()) > 4 * MAX_HEADER:
        raise AskError(f"the headers are too long: at most {4 * MAX_HEADER} bytes together")
    return ask


def _check_header(name: str, value: str) -> None:
    if not _TOKEN.fullmatch(name):
        raise AskError(f"the header {name!r} has a name that none can have")
    if name.lower() in FRAMING:
        raise AskError(f"the header {name!r} is the client's own business")
    if _CONTROL.search(value):
        raise AskError(f"the header {name!r} has the end of a line in it, or another control code")
    try:
        size = len(value.encode("latin-1"))
    except UnicodeEncodeError:
        raise AskError(f"the header {name!r} has characters that are not in Latin-1") from None
    if size > MAX_HEADER:
        raise AskError(f"the header {name!r} has {size} bytes: at most {MAX_HEADER}")


def _has(headers: Mapping[str, str], name: str) -> bool:
    return name.lower() in map(str.lower, headers)


def _merged(asks: Iterable[Ask]) -> list[Ask]:
    """Make one of those that are alike, with the weight of all."""
    found: dict[Any, Ask] = {}
    for ask in asks:
        kind = (ask.path, ask.method, frozenset(ask.headers.items()), ask.body)
        other = found.get(kind)
        found[kind] = replace(ask, weight=ask.weight + other.weight) if other else ask
    return list(found.values())
