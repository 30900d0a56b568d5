"""What is asked for where no variant says it: the reader's own URLs, in a mix."""

from collections.abc import Mapping
from dataclasses import dataclass, field


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
