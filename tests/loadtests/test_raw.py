"""Raw users: what they take for an answer, what they check, and what ends no round."""

import threading
import time
import zlib

import pytest

from loadtests import raw
from loadtests.orders import Order
from loadtests.running import servers
from loadtests.running.generators import TRIVIAL
from tests.support.scripted import BODY, WHO, Listener, response, scripted

RIGHT = response()
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
IN_CHUNKS = CHUNKED + b'5\r\n{"ok"\r\n7;name=value\r\n: true}\r\n0\r\n\r\n'
TO_THE_END = b"HTTP/1.1 200 OK\r\nServer: old\r\n\r\n" + BODY


# --- What is an answer


@pytest.mark.parametrize(
    "data",
    [
        RIGHT,
        RIGHT.replace(b"Content-Length", b"content-LENGTH"),
        IN_CHUNKS,
        IN_CHUNKS.removesuffix(b"\r\n") + b"Trailing: header\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: style\r\n\r\n" + RIGHT,
    ],
    ids=["length", "other letters", "chunks", "trailers", "hints before it"],
)
def test_answer_is_there_with_its_last_byte_and_not_before(data):
    assert [raw.parsed(data[:size], ended=False) for size in range(len(data))] == [None] * len(data)
    answer = raw.parsed(data, ended=False)
    assert (answer.status, answer.body) == (200, BODY)


def test_answer_without_a_length_ends_with_its_connection():
    assert raw.parsed(TO_THE_END, ended=False) is None
    assert raw.parsed(TO_THE_END, ended=True).body == BODY


@pytest.mark.parametrize("data", [RIGHT[:-1], IN_CHUNKS[:-1], RIGHT[:20], b""])
def test_answer_that_breaks_off_is_none(data):
    assert raw.parsed(data, ended=True) is None


@pytest.mark.parametrize("status", [204, 304])
def test_answer_that_has_no_body_needs_no_length(status):
    answer = raw.parsed(f"HTTP/1.1 {status} Nothing\r\n\r\n".encode(), ended=False)
    assert (answer.status, answer.body) == (status, b"")


def test_headers_are_known_by_their_names_in_lower_case():
    answer = raw.parsed(response(b"", "X-Mixed:  a: b ", "empty:"), ended=False)
    assert answer.headers[b"x-mixed"] == b"a: b"
    assert answer.headers[b"empty"] == b""


def test_every_cookie_is_found_without_what_follows_its_value():
    lines = ("Set-Cookie: a=1=2; Path=/; HttpOnly", "set-cookie: b=", "SET-COOKIE: c=3;Secure")
    answer = raw.parsed(response(BODY, *lines), ended=False)
    assert answer.cookies == {b"a": b"1=2", b"b": b"", b"c": b"3"}


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 OK 200\r\n\r\n",
        b"ICAP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        RIGHT + b"more",
        CHUNKED + b"many\r\n",
        CHUNKED + b"-6\r\n",
    ],
)
def test_what_is_no_response_is_refused(data):
    with pytest.raises(ValueError, match=r"."):
        raw.parsed(data, ended=False)


# --- A user, and a server in the same thread: each byte has come before it is read


@pytest.fixture
def listener():
    listener = Listener()
    yield listener
    listener.close()


def order_for(url, users=1, **more):
    what = {"comparison": "request-path", "variant": "sync", "host": url, "server": WHO}
    return Order(**what | {"users": users, "window": 0.05, "min_answers": 1} | more)


@pytest.fixture
def user(listener):
    user = raw.User(order_for(listener.url))
    yield user
    user.close()


def connected(user, listener):
    """The other end of a user who has asked, on a new connection."""
    user.ask()
    peer = listener.accept()
    peer.request()
    return peer


def answered(user, peer, data):
    """The sample that a user has who asks once more and gets this."""
    user.ask()
    peer.request()
    peer.send(data)
    return user.read()


def test_user_asks_for_the_variant(user, listener):
    user.ask()
    request = listener.accept().request()
    line, host = b"GET /request-path/sync/ HTTP/1.1", b"Host: " + listener.host.encode()
    assert request == b"\r\n".join([line, host, b"", b""])


def test_answer_in_pieces_is_one_sample(user, listener):
    before = time.time()
    peer = connected(user, listener)
    for piece in (RIGHT[:10], RIGHT[10:-5]):
        peer.send(piece)
        assert user.read() is None
    peer.send(RIGHT[-5:])
    start, latency, *rest = user.read()
    assert before <= start <= start + latency / 1000 <= time.time()
    assert rest == [200, zlib.crc32(BODY), None]


@pytest.mark.parametrize(
    ("data", "status", "error"),
    [
        (
            response(who="asgi-uvicorn other"),
            200,
            f"answered by 'asgi-uvicorn other' instead of {WHO!r}",
        ),
        (response(who="\xff"), 200, f"answered by 'Ã¿' instead of {WHO!r}"),
        (
            TO_THE_END.replace(b"Server", b"Content-Length: 12\r\nServer"),
            200,
            f"answered by '' instead of {WHO!r}",
        ),
        (response(status="500 Internal Server Error"), 500, "status 500"),
        (response(b"", status="204 No Content"), 204, "status 204"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", 0, "no right HTTP response"),
    ],
    ids=["another server", "no text", "no name", "500", "204", "no HTTP"],
)
@pytest.mark.parametrize("right_before", [0, 2])
def test_wrong_answer_says_what_is_wrong(user, listener, data, status, error, right_before):
    """Whatever was right before it."""
    peer = connected(user, listener)
    for _ in range(right_before):
        peer.send(RIGHT)
        assert user.read()[4] is None
        user.ask()
        peer.request()
    peer.send(data)
    _, _, found, _, said = user.read()
    assert (found, said) == (status, error)


def test_answer_that_differs_in_its_date_is_checked(user, listener):
    peer = connected(user, listener)
    peer.send(response(BODY, "Date: Thu, 26 Nov 2026 05:05:17 GMT"))
    assert user.read()[4] is None
    later = response(BODY, "Date: Thu, 26 Nov 2026 05:05:18 GMT")
    assert answered(user, peer, later)[3:] == [zlib.crc32(BODY), None]
    assert answered(user, peer, later.replace(WHO.encode(), b"x" * len(WHO)))[4]


def test_each_answer_has_the_digest_of_its_own_body(user, listener):
    peer = connected(user, listener)
    peer.send(RIGHT)
    digests = [user.read()[3]]
    digests += [answered(user, peer, response(body))[3] for body in (b"other", BODY, BODY)]
    assert digests == [zlib.crc32(body) for body in (BODY, b"other", BODY, BODY)]


@pytest.mark.parametrize("data", [response(BODY, "connection: Close"), TO_THE_END])
def test_user_connects_anew_where_the_server_closes(user, listener, data):
    peer = connected(user, listener)
    peer.send(data)
    peer.close()
    sample = user.read() or user.read()
    assert sample[2:4] == [200, zlib.crc32(BODY)]
    assert user.fd is None
    other = connected(user, listener)
    other.send(RIGHT)
    assert user.read()[4] is None


@pytest.mark.parametrize("came", [b"", RIGHT[:20], RIGHT[:-1], IN_CHUNKS[:-5]])
@pytest.mark.parametrize("right_before", [0, 1])
def test_connection_that_is_closed_before_the_answer_has_ended_is_a_failure(
    user, listener, came, right_before
):
    """None of it counts, and the next answer is one of its own."""
    peer = connected(user, listener)
    for _ in range(right_before):
        peer.send(RIGHT)
        user.read()
        user.ask()
        peer.request()
    peer.send(came)
    peer.close()
    sample = user.read() or user.read()
    assert sample[2:] == [0, 0, "the connection was closed"]
    other = connected(user, listener)
    other.send(RIGHT)
    assert user.read()[2:] == [200, zlib.crc32(BODY), None]


def test_connection_that_is_reset_is_a_failure(user, listener):
    connected(user, listener).reset()
    assert user.read()[2:] == [0, 0, "Connection reset by peer"]


def test_cookies_are_sent_back_the_newest_of_each_name(user, listener):
    peer = connected(user, listener)
    peer.send(response(BODY, "Set-Cookie: a=1; Path=/", "Set-Cookie: b=2"))
    user.read()
    user.ask()
    assert b"\r\nCookie: a=1; b=2\r\n" in peer.request()
    peer.send(response(BODY, "Set-Cookie: a=3"))
    user.read()
    user.ask()
    assert b"\r\nCookie: a=3; b=2\r\n" in peer.request()


def test_connection_that_the_server_closes_while_nobody_waits_is_no_sample(listener):
    """As at the end of a round, when others still wait."""
    users = raw.Users(order_for(listener.url, users=2))
    try:
        one, _other = listener.accept(), listener.accept()
        one.request()
        one.send(RIGHT)
        one.close()
        looks = iter(range(5))
        users.serve(False, lambda: next(looks, None) is None, limit=60)
        assert [sample[4] for sample in users.samples] == [None]
        assert len(users.under_way()) == 1
    finally:
        users.close()


# --- A round


@pytest.fixture
def patient(monkeypatch):
    """No limit of a round comes into play, on a machine however slow."""
    monkeypatch.setattr(raw, "MAX_OVERTIME_S", 60)


@pytest.fixture
def impatient(monkeypatch):
    for limit in ("WARM_UP_TIMEOUT_S", "MAX_OVERTIME_S", "DRAIN_TIMEOUT_S"):
        monkeypatch.setattr(raw, limit, 0.05)


class Events(list):
    """What a round says. `then` is called with each of it, too."""

    def __init__(self, then=lambda event: None):
        super().__init__()
        self._then = then

    def emit(self, event, at):
        self.append((event, at))
        self._then(event)

    def is_enough(self, answers, wanted):
        return answers >= wanted


def failures(result):
    return {error for *_, error in result.samples if error}


def test_round_has_every_answer_and_the_window_that_it_said(patient):
    events, before = Events(), time.time()
    with scripted(lambda *_: RIGHT) as server:
        result = raw.run(order_for(server.url, users=3, min_answers=20), events)
    assert events == [("open", result.opened), ("close", result.closed)]
    assert before <= result.opened <= result.closed - 0.05
    assert not failures(result)
    assert len(result.samples) == len(server.answered)
    ends = [start + latency / 1000 for start, latency, *_ in result.samples]
    assert before <= min(start for start, *_ in result.samples)
    assert max(ends) <= time.time()
    assert sum(result.opened <= end <= result.closed for end in ends) >= 20
    assert result.bystander == []


def test_window_opens_when_each_user_has_been_answered(patient):
    held = threading.Event()

    def answer(connection, number):
        if (connection, number) == (3, 1):
            held.wait(60)  # until the others have been answered often
        elif number == 20:
            held.set()
        return RIGHT

    answered_at_open = []
    with scripted(answer) as server:
        events = Events(lambda _: answered_at_open.append({c for c, _ in server.answered}))
        assert not failures(raw.run(order_for(server.url, users=3), events))
    assert answered_at_open[0] == {1, 2, 3}


def test_users_connect_for_each_answer_where_the_server_wants_it_so(patient):
    """As gunicorn's sync workers do."""
    with scripted(lambda *_: response(BODY, "Connection: close")) as server:
        result = raw.run(order_for(server.url, users=2, min_answers=10), Events())
    assert not failures(result)
    assert {number for _, number in server.answered} == {1}
    assert len(server.answered) == len(result.samples)


def test_user_whose_connection_broke_asks_again(patient):
    with scripted(lambda connection, _: RIGHT if connection > 1 else None) as server:
        result = raw.run(order_for(server.url, min_answers=3), Events())
    first, *others = [error for *_, error in result.samples]
    assert first == "the connection was closed"
    assert others
    assert set(others) == {None}


def test_failures_of_a_server_that_is_gone_are_samples_and_few(listener):
    listener.close()
    before = time.monotonic()
    result = raw.run(order_for(listener.url, users=2, window=0.3), Events())
    pauses = (time.monotonic() - before) / raw.PAUSE_S
    assert failures(result) == {"Connection refused"}
    assert 2 <= len(result.samples) <= 2 * (1 + pauses)


def test_server_that_dies_in_the_window_ends_no_round(impatient):
    with scripted(lambda *_: RIGHT) as server:
        events = Events(lambda event: server.die() if event == "open" else None)
        result = raw.run(order_for(server.url, users=2, window=0.3), events)
    assert [event for event, _ in events] == ["open", "close"]
    assert "Connection refused" in failures(result)
    broke = {"Connection refused", "the connection was closed", "Connection reset by peer"}
    assert failures(result) <= broke | {"Broken pipe"}


def test_requests_that_are_never_answered_are_samples(impatient):
    never = threading.Event()
    try:
        with scripted(lambda *_: never.wait(60) and None) as server:
            before = time.time()
            result = raw.run(order_for(server.url, users=2), Events())
            never.set()
    finally:
        never.set()
    assert [sample[2:] for sample in result.samples] == [[0, 0, "not answered in 0 s"]] * 2
    for start, latency, *_ in result.samples:
        assert before <= start <= result.opened
        assert result.closed <= start + latency / 1000 <= time.time()


def test_last_answers_are_waited_for():
    """What was asked in the window counts, though it is answered after it."""
    closed = threading.Event()

    def answer(connection, number):
        if number > 1:
            closed.wait(60)
        return RIGHT

    with scripted(answer) as server:
        events = Events(lambda event: closed.set() if event == "close" else None)
        result = raw.run(order_for(server.url, users=2, min_answers=0), events)
    assert not failures(result)
    assert len(result.samples) == 4
    late = [start + latency / 1000 for start, latency, *_ in result.samples[2:]]
    assert all(end >= result.closed for end in late)


def test_generator_runs_raw_users_though_it_is_patched(generator):
    with servers.serving([TRIVIAL]) as (server,):
        order = order_for(server.url, users=4, server=server.name, raw=True)
        result = generator.run(order)
    assert result.samples
    assert {error for *_, error in result.samples} == {None}
    assert result.bystander == []
