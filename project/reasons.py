"""Why a program failed, in one line, from what it said."""

import re
from itertools import pairwise
from pathlib import Path

# What a line says, most telling first: what the machine lacks; an error; or what follows from one.
_LACK = "No space left|Disk quota exceeded|File too large|Read-only file system|Too many open files"
_LACK += "|Cannot allocate memory|Resource temporarily unavailable|can't start new thread"
_ERROR = "error|exception|fatal|panic|terminated by signal"
_CONSEQUENCE = "in recovery mode|is starting up|is shutting down|Reason: Worker failed to boot"
_CONSEQUENCE += r"|Can't connect to \("  # gunicorn, whose port is taken
# PostgreSQL's, after a line of error; and what it writes before each.
_ADDITION = r"\b(DETAIL|HINT|CONTEXT|STATEMENT|QUERY|LOCATION|LINE \d+): "
_PREFIX = r"^.*\d\d:\d\d:\d\d\.\d+ \w+ \[\d+\] "


def reason(output: str) -> str:
    """Find the line of a program's output, a log or a traceback, that says best why it failed."""
    all_lines = [line for line in output.splitlines() if line.strip()]
    # What is indented (frames, source, carets) belongs to what stands above or below it.
    lines = [line for line in all_lines if not line[0].isspace()] or all_lines
    lines = [line for line in lines if not re.search(_ADDITION, line)] or lines
    exceptions = [
        after
        for line, after in pairwise(lines)
        if line.endswith("Traceback (most recent call last):")
    ]
    lacks = [line for line in lines if re.search(_LACK, line)]
    errors = [
        line
        for line in lines
        if re.search(_ERROR, line, re.IGNORECASE) and not re.search(_CONSEQUENCE, line)
    ]
    line = (lacks or exceptions or errors or lines or ["it said nothing"])[-1]
    return re.sub(_PREFIX, "", line).strip()


def logged_reason(log: Path) -> str:
    """Find the reason in a log, if that is still there, and say where to read more."""
    output = log.read_text(errors="replace") if log.exists() else ""
    return f"{reason(output)} (see {log})"


def one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or repr(error)
