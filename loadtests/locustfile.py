"""Locust users, made from the registry: a class per variant, and the bystander.

By hand, against a deployment started by `manage.py serve` (loadtests/turns.py says who comes when):

    locust -f loadtests/locustfile.py --host http://127.0.0.1:8000 --tags blocking-call
    locust -f loadtests/locustfile.py --host ... BlockingCallSync Bystander

`manage.py compare` runs the same users through `loadtests.generator`.
"""

import math
import os
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import gevent.event
from locust import FastHttpUser, User, constant, events, tag, task
from locust.contrib.fasthttp import FAILURE_EXCEPTIONS
from locust.exception import CatchResponseError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

import django

django.setup()

from comparisons.declarations import DeclarationError  # noqa: E402
from project import exit_status  # noqa: E402

try:
    from comparisons.pairs import COMPARISONS
except DeclarationError as error:
    print(f"locust: {error}", file=sys.stderr)
    sys.exit(exit_status.CANNOT_RUN)
from comparisons.registry import Client, Variant  # noqa: E402
from loadtests.asks import Ask, mixed  # noqa: E402
from loadtests.connection import NO_ANSWER, Connection  # noqa: E402
from loadtests.orders import BYSTANDER_PACE_S, LEFT  # noqa: E402
from loadtests.turns import Turns as Turns  # noqa: E402  # locust looks for it here
from loadtests.turns import bystander_name, prepare  # noqa: E402
from project.middleware import HEADER  # noqa: E402

# Seconds over which users come where nothing is known: all at once, they may all be accepted by one
# of two processes, and stay there.
SPREAD = 0.1


# Calls that have no answer yet: who makes them, and since when (time.time()).
UNDER_WAY: set[tuple["CheckingUser", float]] = set()


GET = Client()


class SlowBody:
    """A body that is sent in pieces, evenly over so many seconds: a file, as far as sockets ask."""

    PIECES = 20

    def __init__(self, body: bytes, seconds: float) -> None:
        self._rest, self._length = memoryview(body), len(body)
        self._piece = -(-len(body) // self.PIECES)
        self._pause = seconds / self.PIECES

    def __len__(self) -> int:
        return self._length

    def read(self, _size: int = -1) -> memoryview:
        if self._rest:
            gevent.sleep(self._pause)
        piece, self._rest = self._rest[: self._piece], self._rest[self._piece :]
        return piece


@cache
def body_of(client: Client) -> bytes:
    return bytes(int(1_000_000 * client.body_mb))


def ask_of(path: str, client: Client) -> Ask:
    return Ask(path, client.method, body=body_of(client))


# Who stands between two requests as a round ends is killed by locust, and may have sent one by
# then: no server is to blame for that. Who waits in vain has been told to end long before.
JUST_SENT_S = 1


class TimeToLeave(BaseException):
    """Nothing that the client's code catches."""


class CheckingUser(FastHttpUser):
    """A user who checks every answer: its status, and the server's name where one is expected."""

    abstract = True
    # What X-Deployment must say; None by hand, where any server will do.
    server: str | None = None
    notes_first_byte = False
    right_statuses = range(200, 201)
    keeps_cookies = True
    left: ClassVar[float] = math.inf  # requests that all users together may still send

    def on_start(self) -> None:
        if not self.keeps_cookies:
            self.client.client.cookiejar = None

    def on_stop(self) -> None:
        # At once, not when the garbage collector comes: a server that stops waits for connections.
        self.client.client.close()

    def call(self, ask: Ask, name: str, due: float | None = None, how: Client = GET) -> None:
        """Send one checked request. due: when it should have started (time.time()); None is now.

        how: how patiently it is sent, and its answer is waited for.
        """
        if CheckingUser.left <= 0:
            gevent.sleep(0.1)  # until the round ends, which counts for nothing
            return
        CheckingUser.left -= 1
        context: dict[str, Any] = {"due": due, "user": self}
        start = time.time()
        call = (self, due or start)
        UNDER_WAY.add(call)
        try:
            with gevent.Timeout(how.leaves_after, TimeToLeave):
                self._ask(ask, name, context, start, how)
        except TimeToLeave:
            self._leave(ask, name, context, start)
        except gevent.GreenletExit:
            if time.time() - start < JUST_SENT_S:
                UNDER_WAY.discard(call)
            raise
        UNDER_WAY.discard(call)

    def _leave(self, ask: Ask, name: str, context: Any, start: float) -> None:
        self.client.client.close()
        self.environment.events.request.fire(
            request_type=ask.method,
            name=f"{name} ({LEFT})",
            response_time=1000 * (time.time() - start),
            response_length=0,
            response=None,
            context=context,
            exception=None,
            start_time=start,
            url=ask.path,
        )

    def _ask(self, ask: Ask, name: str, context: Any, start: float, how: Client) -> None:
        asking = self.client.request(
            ask.method,
            ask.path,
            name=name,
            headers=ask.headers,
            data=SlowBody(ask.body, how.upload_s) if how.upload_s else ask.body,
            context=context,
            catch_response=True,
            allow_redirects=False,
            stream=self.notes_first_byte,
        )
        with asking as response:
            if self.notes_first_byte:
                self._read(response, start)
            if why := self.why_wrong(response):
                response.failure(why)
        if response.status_code == 0:
            gevent.sleep(0.1)  # nobody listens: do not spin

    def why_wrong(self, response: Any) -> str:
        """Say why it is not the answer that was asked for; "" if it is."""
        server = served_by(response)
        if response.status_code not in self.right_statuses:
            return f"status {response.status_code}"
        if self.server is not None and server != self.server:
            return f"answered by {server!r} instead of {self.server!r}"
        return ""

    def _read(self, response: Any, start: float) -> None:
        """Read the body, and note when its first byte came."""
        noted = response.request_meta  # what the listeners will be told: locust copies our context
        body = b""
        try:
            if response.status_code:
                body = response.stream.read(1)
                noted["context"]["first_byte_ms"] = 1000 * (time.time() - start)
                body += response.stream.read() if body else b""
        except FAILURE_EXCEPTIONS as error:
            response.failure(error)
        noted["response"]._cached_content = body
        noted["response_time"] = 1000 * (time.time() - start)


def come_spread(user: Any) -> None:
    """Let a user wait for its time to come, of the `spread` that its class has for all of them."""
    cls = type(user)
    cls.started += 1
    gevent.sleep(place_in(user.spread, cls.started))


def place_in(spread: float, number: int) -> float:
    """Return when the user of this number comes, of so many seconds in which all of them do."""
    # The golden ratio's multiples spread evenly however many users there are.
    return spread * (number * 0.618034 % 1)


class VariantUser(CheckingUser):
    """The closed loop: the next request is sent when the last is answered."""

    abstract = True
    wait_time = constant(0)
    # Users come spread over this many seconds, best those that all of them need for one request
    # each: or they would move in lockstep, and be answered in bunches.
    spread: float = 0
    started = 0
    variant: Variant
    request_name: str  # `blocking-call/sync`

    def on_start(self) -> None:
        come_spread(self)

    @property
    def path(self) -> str:
        return f"/{self.request_name}/"

    def call_variant(self) -> None:
        how = self.variant.client or GET
        self.call(ask_of(self.path, how), self.request_name, how=how)


class WaitingUser(VariantUser):
    """Opens a connection, sends its request, and waits for the answer; in `compare`, only once.

    Nothing else, so that thousands of users cost the load generator little while they wait.
    """

    abstract = True
    seconds: float = 10
    gate: gevent.event.Event | None = None  # in `compare`: they come when it opens
    sources: Sequence[str] = ()  # addresses to come from, in turn
    source = ""  # the user's own; "" is the kernel's choice

    def __init__(self, environment: Any) -> None:
        User.__init__(self, environment)  # and no session, with its pools, headers and cookies
        self.connection: Connection | None = None

    def on_start(self) -> None:
        cls = type(self)
        cls.started += 1
        number = cls.started
        if cls.sources:
            self.source = cls.sources[number % len(cls.sources)]
        if self.gate:
            self.gate.wait()
            gevent.sleep(place_in(self.spread, number))

    def on_stop(self) -> None:
        self._hang_up()

    def _hang_up(self) -> None:
        if self.connection:
            self.connection.close()
            self.connection = None

    @property
    def path(self) -> str:
        return f"{super().path}?seconds={self.seconds:g}"

    def _ask(self, ask: Ask, name: str, context: Any, start: float, how: Client) -> None:
        answer, error = NO_ANSWER, ""
        try:
            if not self.connection:
                self.connection = Connection(self.host or "", self.source)
            answer = self.connection.get(ask.path)
            error = self.why_wrong(answer)
        except (OSError, ValueError) as broken:
            error = str(broken)
        now = time.time()
        if self.notes_first_byte and answer.first_byte_at:
            context["first_byte_ms"] = 1000 * (answer.first_byte_at - start)
        if answer.closes:
            self._hang_up()
        self.environment.events.request.fire(
            request_type=ask.method,
            name=name,
            response_time=1000 * (now - start),
            response_length=len(answer.content),
            response=answer,
            context=context,
            exception=CatchResponseError(error) if error else None,
            start_time=start,
            url=ask.path,
        )
        if not answer.status_code:
            gevent.sleep(0.1)  # nobody listens: do not spin


class OpenLoopUser(CheckingUser):
    """A request every `pace` seconds, whether or not the last is answered.

    Its latency counts from when it was due, so that a server (or a generator) that stands still
    cannot hide it: coordinated omission, see https://github.com/giltene/wrk2.
    """

    abstract = True
    wait_time = constant(0)
    concurrency = 10_000
    pace: float
    path: str
    request_name: str
    how = GET

    def on_start(self) -> None:
        super().on_start()
        self.due = time.time()
        self.under_way = gevent.pool.Group()

    def on_stop(self) -> None:
        self.under_way.join()
        super().on_stop()

    def call_when_due(self) -> None:
        self.due += self.pace
        gevent.sleep(max(0, self.due - time.time()))
        self.under_way.spawn(self.call, self.ask(), self.request_name, self.due, self.how)

    def ask(self) -> Ask:
        return ask_of(self.path, self.how)


class Bystander(OpenLoopUser):
    """A trivial request every 25 ms."""

    fixed_count = 1
    pace = BYSTANDER_PACE_S
    path = "/bystander/"

    def on_start(self) -> None:
        super().on_start()
        self.request_name = bystander_name(self.environment)

    @tag(*COMPARISONS)
    @task
    def call_bystander(self) -> None:
        self.call_when_due()


def open_loop(slug: str, variant: Variant, rate: float) -> type[OpenLoopUser]:
    """Make the class of a user who calls a variant `rate` times a second."""
    name = f"{slug}/{variant.name}"
    decorated = tag(slug, variant.name)(task(lambda user: user.call_when_due()))
    members = {
        **{"variant": variant, "how": variant.client or GET, "pace": 1 / rate, "fixed_count": 1},
        **{"path": f"/{name}/", "request_name": name},
        **{"call_it": decorated, "__module__": __name__},
    }
    return type(class_name(slug, variant.name), (OpenLoopUser,), members)


class MixUser(CheckingUser):
    """Asks for what the reader wants asked, in a closed loop."""

    abstract = True
    wait_time = constant(0)
    spread: float = 0
    started = 0
    mix: Iterator[Ask]

    def on_start(self) -> None:
        super().on_start()
        come_spread(self)

    @task
    def call_next(self) -> None:
        ask = next(self.mix)
        self.call(ask, ask.name)


class OpenLoopMixUser(OpenLoopUser):
    """Likewise, in an open loop."""

    abstract = True
    request_name = "mix"
    mix: Iterator[Ask]

    def ask(self) -> Ask:
        return next(self.mix)

    @task
    def call_it(self) -> None:
        self.call_when_due()


def mix_user(asks: Sequence[Ask], rate: float | None) -> type[CheckingUser]:
    """Make the class of the users of these requests: of many, or of one who asks at this rate.

    Each request is sent as it was given, the first and the last: cookies that come are not kept.
    """
    members = {
        **{"mix": mixed(asks), "right_statuses": range(200, 300), "keeps_cookies": False},
        **{"__module__": __name__},
    }
    if rate is None:
        return type("Mix", (MixUser,), members)
    return type("Mix", (OpenLoopMixUser,), {**members, "pace": 1 / rate, "fixed_count": 1})


def class_name(slug: str, variant: str) -> str:
    """Turn `blocking-call`, `async_native` into `BlockingCallAsyncNative`."""
    return f"{slug}_{variant}".replace("-", "_").title().replace("_", "")


def _user_class(slug: str, variant: Variant) -> type[CheckingUser]:
    if rate := COMPARISONS[slug].rate:
        return open_loop(slug, variant, rate)
    base = WaitingUser if COMPARISONS[slug].waiting else VariantUser
    decorated = tag(slug, variant.name)(task(lambda user: user.call_variant()))
    members = {
        **{"variant": variant, "spread": variant.wait or SPREAD},
        **{"request_name": f"{slug}/{variant.name}"},
        **{"call_it": decorated, "__module__": __name__},
    }
    return type(class_name(slug, variant.name), (base,), members)


USERS: dict[tuple[str, str], Any] = {  # the classes
    (slug, variant.name): _user_class(slug, variant)
    for slug, comparison in COMPARISONS.items()
    for variant in comparison.variants
}
# Locust finds user classes among a locustfile's globals.
globals().update({cls.__name__: cls for cls in USERS.values()})


@events.init.add_listener
def _by_hand(environment: Any, **_: Any) -> None:
    prepare(environment, USERS, Bystander)


def served_by(response: Any) -> str | None:
    """Return who says that it has answered."""
    return response.headers.get(HEADER) if response.headers else None


def digest(response: Any) -> int:
    """Return a checksum of the body, to compare with the other variants'."""
    return zlib.crc32(response.content or b"")
