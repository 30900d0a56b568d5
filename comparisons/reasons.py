"""Why something is invalid, or open, in the reader's language.

A result file has its reasons in English, as `loadtests.judging` wrote them: known ones are found
again by their phrase, what is not known (an exception, say) stays as it is.
"""

import re
from functools import cache

from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as marked

PHRASES = (
    # Rounds and answers that a verdict rests on, and what would decide it
    marked("%(rounds)s rounds"),
    marked("%(rounds)s paired rounds"),
    marked("%(answers)s answers in %(rounds)s rounds"),
    marked("about %(rounds)s more rounds like these"),
    marked("about %(rounds)s more round like these"),
    marked("no number of rounds: it lies on the bound"),
    marked("rounds that spread less"),
    marked("more answers"),
    marked("%(answers)s answers of which none fails"),
    # Why a round does not count
    marked("%(rounds)s rounds only"),
    marked("%(failed)s of %(answers)s answers failed: %(error)s"),
    marked("%(failed)s of %(answers)s bystander's answers failed: %(error)s"),
    marked("%(answers)s of %(users)s requests waited at once"),
    marked("only %(answers)s answers in the window"),
    marked("another body than the other variants'"),
    marked("the load generator used %(share)s%% of its core"),
    marked("the load generator is near its limit of %(rate)s requests/s"),
    marked("the container's quota held it back for %(share)s%% of the time"),
    marked("the hypervisor took %(share)s%% of the CPU"),
    marked("the load generator stood still for %(seconds)s s"),
    marked("compare itself stood still for %(seconds)s s"),
    marked("PostgreSQL did not answer for %(seconds)s s"),
    marked("the clock was set by %(seconds)s s, or the machine slept"),
    marked("%(rate)s answers/s are more than %(users)s users who wait can have"),
    marked("PostgreSQL was away"),
    marked("%(metric)s was not measured in every round"),
    marked("%(metric)s was measured in no two rounds"),
)


def reason(text: str) -> str:
    """Translate reasons as they stand in a result file: `sync: 3 rounds only; 2 of 9 ...`."""
    if (get_language() or "en").startswith("en"):
        return text
    return "; ".join(map(_one, text.split("; ")))


def _one(text: str) -> str:
    variant, colon, rest = text.partition(": ")
    if colon and variant.isidentifier():
        return f"{variant}: {_one(rest)}"
    for phrase in PHRASES:
        if found := _pattern(phrase).fullmatch(text):
            return _(phrase) % found.groupdict()
    return text


@cache
def _pattern(phrase: str) -> re.Pattern[str]:
    """A number or a name for each placeholder; for an error, whatever is left."""
    pattern = re.escape(phrase).replace("%%", "%")
    pattern = pattern.replace(r"%\(error\)s", "(?P<error>.*)")
    return re.compile(re.sub(r"%\\\((\w+)\\\)s", r"(?P<\1>[-+\\w.]+)", pattern), re.DOTALL)
