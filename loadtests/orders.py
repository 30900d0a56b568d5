"""What is said to the load generator's process, and what it says: JSON, typed at both ends.

`compare` sends an Order (see running/generators.py). The generator (generator.py) warms up, says
"ready", and waits for GO or LEAVE. If it is to go, it says "open" and "close", each with the time
`at` which the measured window opened or closed, "settled" when all that counts has been answered,
and at last "round": a LoadResult. If not, it ends its users and says "left".

Between a locust master and its workers the same is said in locust's own messages (master.py,
worker.py), but for GO, which there bears the time at which to open the window.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

BYSTANDER_PACE_S = 0.025  # between two calls of the bystander
LEFT = "left"  # in place of an error: the user did not wait for the answer, as declared
GO, LEAVE = "go", "leave"  # what a generator that is ready is told
CLOSE = "close"  # what a worker is told, too: all of them have answers enough
CORE = "GENERATOR_CORE"  # the environment variable with the number of its own core, if it has one


@dataclass(frozen=True)
class Order:
    """One round to run."""

    comparison: str
    variant: str  # as in its URL
    host: str  # the server's URL
    server: str | None  # what its responses must say in X-Deployment; None: anything
    users: int
    window: float  # seconds that it measures, and longer until it has `min_answers`
    min_answers: int
    spread: float | None = None  # seconds over which the users come; None leaves it to the users
    rate: float | None = None  # requests/s of an open loop; None is the closed loop of the users
    # Seconds for which each user's one request waits; the window ends before. None: no such round.
    waiting: float | None = None
    # The users of all workers on this machine, who share its ports; 0: these are all.
    users_here: int = 0
    raw: bool = False  # by raw users (raw.py), without a bystander
    first_byte: bool = False  # note when the first byte of each body comes
    bystander: str | None = "/bystander/"  # the path that the bystander calls; None: there is none
    # In place of the variant's own request: a mix of these (of an Ask each, `as_row`), whose
    # answers are right with any 2xx; or what the users of a locustfile of the reader's do.
    asks: list[dict[str, Any]] = field(default_factory=list)
    locustfile: str | None = None
    any_body: bool = False  # bodies differ each time: their digest is 0
    workers: list[str] = field(default_factory=list)  # who share it, by name; nobody named is all
    max_requests: int | None = None  # of all users, from the warm-up on; None is no limit

    def line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: str) -> "Order":
        return cls(**json.loads(line))


@dataclass(frozen=True)
class LoadResult:
    """What the load generator measured in a round.

    A sample is [start (time.time()), latency in ms, status, CRC-32 of the body, error or None,
    ms until the first byte of the body, or None where that was not asked for].
    """

    opened: float  # time.time()
    closed: float
    cpu: float  # 0..1 of one core, while the window was open
    samples: list[list[Any]]  # of the whole round
    bystander: list[list[Any]]
    send_delay: float  # ms, p99: how late an open loop's requests were sent
    stall: float  # seconds, the longest for which the generator did nothing while it counted
    clock_jump: float  # seconds by which the wall clock was set meanwhile
    # Of a master: what each worker had to do (see distributed.worker_row), and who was lost.
    workers: list[dict[str, Any]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)  # why it does not count


class Talk(Protocol):
    """How a round talks with whoever has ordered it."""

    def emit(self, event: str, **data: Any) -> None:
        """Say what happens."""

    def word(self, patience: float | None = None) -> str:
        """Wait for what is said, GO or LEAVE; "" if nothing was for so many seconds."""

    def is_enough(self, answers: int, wanted: int) -> bool:
        """Tell whether a window may close that has so many answers."""
