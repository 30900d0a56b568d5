"""What a burst's events (burst.py) say of a variant: as a picture, and in sentences."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from comparisons.pages.burst import TIME_WAS_UP
from comparisons.registry import Variant

# How many ms a picture's axis may have: a fourth of each is a round number.
SCALES = (40, 80, 120, 200, 400, 600, 800, 1200, 1600, 2000, 2400, 3200, 4000, 6000, 8000, 12000)
ROW = 14  # pixels that a request has
SHORT = 10  # ms in the view: too few to tell who waits for whom, where a request takes some itself
NOTABLE = 2  # times as long as one alone: by so much they hinder each other


@dataclass(frozen=True)
class Asked:
    """A request of a burst; moments in ms since its begin."""

    number: int
    sent: float
    ended: float | None = None  # None: left without an answer as the time was up
    status: int | None = None  # None: none came, and `why`
    view: tuple[float, float] | None = None  # when the view began and ended, where the server told
    why: str = ""

    @property
    def failed(self) -> bool:
        return self.ended is not None and (self.status or 599) >= 400 and self.why != "left"

    @property
    def answer(self) -> str:
        """The status, or why there is none; "" where nothing is known."""
        return str(self.status or worded(self.why))


@dataclass(frozen=True)
class Call:
    """One of the bystander's."""

    at: float
    took: float


@dataclass(frozen=True)
class Timeline:
    variant: Variant
    alone: float | None  # ms that one request took; None where not even that one was answered
    requests: list[Asked]
    calls: list[Call]
    over: float
    by: list[str]  # who says in X-Deployment that it answered
    why: str = ""  # nothing was answered

    @property
    def ms(self) -> float:
        """How long the picture is."""
        return max([self.over, *(call.at + call.took for call in self.calls)])

    @property
    def bars(self) -> list[dict[str, Any]]:
        return [_bar(request, self.over) for request in self.requests]

    @property
    def rows(self) -> int:
        """One for each request, one that is empty, one for the bystander."""
        return len(self.requests) + 2

    @property
    def bystander_y(self) -> float:
        return self.rows - 1 + 0.15

    @property
    def height(self) -> int:
        return self.rows * ROW

    @property
    def events(self) -> str:
        """The data behind the picture, as JSON."""
        requests = [
            {"sent": asked.sent, "ended": asked.ended, "status": asked.status, "view": asked.view}
            for asked in self.requests
        ]
        calls = [{"at": call.at, "took": call.took} for call in self.calls]
        return json.dumps({"requests": requests, "bystander": calls})

    @cached_property
    def at_once(self) -> int:
        """How many were in the view at the same time, at most; 0 where the server does not say."""
        steps = [(end, -1) for _begin, end in self._views]  # who leaves makes room for the next
        steps = sorted(steps + [(begin, 1) for begin, _end in self._views])
        return max(accumulate(step for _, step in steps), default=0)

    @property
    def took(self) -> float:
        """How long it was until the last answer."""
        return max((asked.ended or 0 for asked in self.requests), default=0)

    @property
    def is_whole(self) -> bool:
        """Whether all were answered, as the view answers."""
        return self.took > 0 and all(asked.ended and asked.status == 200 for asked in self.requests)

    @property
    def holds_all_up(self) -> bool:
        """Whether all waited for one, the bystander too."""
        longest = max((call.took for call in self.calls), default=0)
        one_by_one = len(self.requests) > 1 and self.at_once == 1 and not self.is_short
        return one_by_one and longest * 2 > (self.alone or 0)

    @property
    def is_short(self) -> bool:
        return any(end - begin < SHORT for begin, end in self._views)

    @property
    def _views(self) -> list[tuple[float, float]]:
        return [asked.view for asked in self.requests if asked.view]

    @property
    def sentences(self) -> list[str]:
        if self.alone is None:
            return [_("Not even one request was answered (%(why)s).") % {"why": worded(self.why)}]
        said = [self._answers(), self._together(), self._bystander()]
        return [sentence for sentence in said if sentence]

    def _answers(self) -> str:
        count = len(self.requests)
        left = sum(asked.why == "left" for asked in self.requests)
        failed = [asked for asked in self.requests if asked.failed]
        open_ = sum(asked.ended is None for asked in self.requests)
        words = {
            "count": count,
            "ms": in_ms(self.took),
            "alone": in_ms(self.alone or 0),
            "failed": len(failed),
            "open": open_,
            "how": ", ".join(sorted({asked.answer for asked in failed})),
            "limit": in_ms(self.over),
        }
        if left == count:
            return _("Each of %(count)s clients left before it had an answer.") % words
        parts = [
            ngettext(
                "%(count)s request, answered after %(ms)s",
                "%(count)s requests sent at once, the last answered after %(ms)s",
                count,
            )
        ]
        if failed:
            parts.append(_("%(failed)s failed (%(how)s)"))
        if open_:
            parts.append(_("%(open)s without an answer when the time was up, after %(limit)s"))
        parts.append(_("one alone took %(alone)s"))
        return "; ".join(parts) % words + "."

    def _together(self) -> str:
        count = len(self.requests)
        if count == 1 or not self.at_once:
            return ""
        if self.is_short:
            return _("It is in the view for a few ms only, too short to see who waits for whom.")
        if self.at_once == 1:
            return _("One after another: no two were in the view at the same time.")
        said = _("Up to %(count)s were in the view at the same time.") % {"count": self.at_once}
        times = self.took / (self.alone or 1)
        if self.is_whole and times >= NOTABLE:
            said += " " + _(
                "All took %(times)s times as long as one alone: they wait for each other in what"
                " they share (a pool, a lock, the CPU)."
            ) % {"times": number_format(times, 1)}
        return said

    def _bystander(self) -> str:
        if not self.calls:
            return ""
        return _("A bystander's call, which is answered at once, took up to %(ms)s meanwhile.") % {
            "ms": in_ms(max(call.took for call in self.calls))
        }


def timelines(output: bytes, variants: Iterable[Variant]) -> list[Timeline]:
    """Read what burst.py has said, as far as it came."""
    events = [json.loads(line) for line in output.splitlines(keepends=True) if line.endswith(b"\n")]
    return [
        _timeline(variant, [event for event in events if event["variant"] == variant.name])
        for variant in variants
    ]


def _timeline(variant: Variant, events: list[dict[str, Any]]) -> Timeline:
    def of(kind: str) -> list[dict[str, Any]]:
        return [event for event in events if event["event"] == kind]

    ended = {event["request"]: event for event in of("ended")}
    begun = (of("begun") or [{"alone": None, "why": TIME_WAS_UP}])[0]
    return Timeline(
        variant=variant,
        alone=begun["alone"],
        why=begun.get("why", ""),
        requests=[
            _asked(event["request"], event["at"], ended.get(event["request"]))
            for event in of("sent")
        ],
        calls=[Call(event["at"], event["took"]) for event in of("bystander")],
        over=max((event.get("at", 0) for event in events), default=0),
        by=sorted({event["by"] for event in ended.values() if event.get("by")}),
    )


def _asked(number: int, sent: float, end: dict[str, Any] | None) -> Asked:
    if end is None:
        return Asked(number, sent)
    view = None
    if moments := end.get("view"):
        view = (moments[0], moments[-1] if len(moments) > 1 else end["at"])
    return Asked(number, sent, end["at"], end["status"], view, end.get("why", ""))


def _bar(asked: Asked, over: float) -> dict[str, Any]:
    end = over if asked.ended is None else asked.ended
    bar = {"asked": asked, "x": asked.sent, "width": round(end - asked.sent, 1)}
    if asked.view:
        begin, view_end = asked.view
        bar |= {"view_x": begin, "view_width": round(view_end - begin, 1)}
    return bar


def scale_of(ms: float) -> int:
    return next((scale for scale in SCALES if scale >= ms), SCALES[-1])


def worded(why: str) -> str:
    """Why nothing was answered, as burst.py says it, in the language of the page."""
    return {"left": _("the client left"), TIME_WAS_UP: _("the time was up")}.get(why, why)


def in_ms(value: float) -> str:
    """Return for instance `1,020 ms`, in the language of the page."""
    return _("%(number)s ms") % {"number": number_format(round(value), force_grouping=True)}
