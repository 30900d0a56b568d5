"""What the half of `compare` that measures says to the half that judges, keeps and prints.

As plain data too (`as_row`, `from_row`), for where the two run on different machines.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from loadtests.judging.declared import Declared
from loadtests.judging.rounds import Round


@dataclass(frozen=True)
class Chosen:
    """What is to be measured, before anything starts. rounds: at least, in all."""

    left_out: tuple[str, ...]  # a line for each thing that cannot be measured
    rounds: int

    def as_row(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Chosen":
        return cls(tuple(row["left_out"]), row["rounds"])


@dataclass(frozen=True)
class Started:
    """Services and load generators run. Each is what the result file has under that name."""

    environment: dict[str, Any]
    load_generator: dict[str, Any]
    calibration: dict[str, Any]
    shared: tuple[str, ...] = ()  # services that another command has started

    def as_row(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Started":
        return cls(**{**row, "shared": tuple(row["shared"])})


@dataclass(frozen=True)
class Begins:
    """A comparison begins."""

    declared: Declared

    def as_row(self) -> dict[str, Any]:
        return {"declared": self.declared.as_row()}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Begins":
        return cls(Declared.from_row(row["declared"]))


@dataclass(frozen=True)
class Measured:
    """One of its rounds has ended."""

    round: Round

    def as_row(self) -> dict[str, Any]:
        return {"round": self.round.as_row()}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Measured":
        return cls(Round.from_row(row["round"]))


@dataclass(frozen=True)
class Failed:
    """It cannot be measured further, for a reason of one line; the next one can."""

    comparison: str
    text: str

    def as_row(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Failed":
        return cls(**row)


@dataclass(frozen=True)
class Ends:
    """It has ended."""

    comparison: str

    def as_row(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Ends":
        return cls(**row)


Event = Chosen | Started | Begins | Measured | Failed | Ends
KINDS: dict[str, type[Event]] = {
    kind.__name__: kind for kind in (Chosen, Started, Begins, Measured, Failed, Ends)
}


def as_row(event: Event) -> dict[str, Any]:
    """The event with the name of its kind."""
    return {"event": type(event).__name__, **event.as_row()}


def from_row(row: Mapping[str, Any]) -> Event:
    rest = {name: value for name, value in row.items() if name != "event"}
    return KINDS[row["event"]].from_row(rest)
