"""Why something is invalid, or open, in the reader's language.

A result file has its reasons in English, as `loadtests.judging` wrote them: known ones are found
again by their phrase, what is not known (an exception, say) stays as it is.
"""

import re
from functools import cache

from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as marked

from comparisons.result import in_digits

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
    # Why `advise` thinks something worth measuring (loadtests.advising.candidates)
    marked("gunicorn's documentation: 2 x cores + 1 processes of one thread, here %(workers)s"),
    marked("gunicorn's documentation: 2 x cores + 1 processes, here %(workers)s"),
    marked(
        "a request waits %(wait)s of its %(time)s ms: by Little's law %(requests)s are in the"
        " server at once, and half as many again when they come in bunches"
    ),
    marked("%(cpu)s ms of CPU a request keep one process busy at most"),
    marked("%(cpu)s ms of CPU a request keep %(workers)s processes busy, a core each"),
    marked(
        "a request computes %(cpu)s of its %(time)s ms, and a process computes on one core (the"
        " GIL): a process for each core"
    ),
    marked("the same threads over %(cores)s processes: a core for each, more memory"),
    marked(
        "the same, and each thread keeps its connection: a request makes %(queries)s queries, and"
        " connects for them each time as the settings are"
    ),
    marked("on an event loop a request takes no slot while it waits (%(wait)s of %(time)s ms)"),
    marked("an event loop for each of %(cores)s cores"),
    marked(
        "the same with a pool: %(rate)s requests a second hold a connection for %(ms)s ms each,"
        " and half as many again are for bunches: %(size)s of each process"
    ),
    marked(
        "what the users do is not known beforehand: a thread for each of %(users)s, over"
        " %(workers)s processes"
    ),
    marked("what the users do is not known beforehand: an event loop for each core"),
    # What its servers have otherwise than the project's settings (loadtests.advising.subject)
    marked("DEBUG = False, as where you deploy it"),
    marked("127.0.0.1 in ALLOWED_HOSTS"),
    marked("requests count as HTTPS (SECURE_SSL_REDIRECT)"),
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
            words = found.groupdict()
            return _(phrase) % {name: _written(word) for name, word in words.items()}
    return text


def _written(word: str) -> str:
    """Write a number as the reader's language does."""
    return in_digits(word) if re.fullmatch(r"-?\d+\.\d+", word) else word


@cache
def _pattern(phrase: str) -> re.Pattern[str]:
    """A number or a name for each placeholder; for an error, whatever is left."""
    pattern = re.escape(phrase).replace("%%", "%")
    pattern = pattern.replace(r"%\(error\)s", "(?P<error>.*)")
    return re.compile(re.sub(r"%\\\((\w+)\\\)s", r"(?P<\1>[-+\\w.]+)", pattern), re.DOTALL)
