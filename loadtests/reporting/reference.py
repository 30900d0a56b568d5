"""What the README shows of the reference run; `python -m loadtests.reporting.reference` remakes it.

Reads loadtests/results/reference.json; writes the table between README's markers, and the picture
beside the pages' other static files.
"""

from project import command

if __name__ == "__main__":
    command.begin()

import json
from collections import Counter
from collections.abc import Mapping
from itertools import groupby
from typing import Any

import django

from project.processes import BASE_DIR

django.setup()

from matplotlib import rc_context  # noqa: E402

from loadtests.judging.verdicts import SIGNS  # noqa: E402
from loadtests.reporting import charts, tables  # noqa: E402

REFERENCE = BASE_DIR / "loadtests" / "results" / "reference.json"
PICTURE = BASE_DIR / "comparisons" / "static" / "comparisons" / "reference.svg"
README = BASE_DIR / "README.md"
PICTURED = ("blocking-call", "workers", "threads", "sequential-awaits")
BEGIN = "<!-- results: python -m loadtests.reporting.reference -->\n"
END = "<!-- end of results -->\n"


def machine(result: Mapping[str, Any]) -> str:
    """One line: when, on what, with what."""
    it = result["environment"]
    return (
        f"Measured {result['finished']} on {it['cpu_count']} cores of an {it['cpu_model']}, "
        f"Python {it['python']}, Django {it['django']}, PostgreSQL {it['postgres']}, "
        f"uvicorn {it['uvicorn']}, gunicorn {it['gunicorn']}, locust {it['locust']}."
    )


def table(result: Mapping[str, Any]) -> str:
    """Markdown: a line per comparison, with its first expectation and the count of all."""
    lines = [
        "| comparison | its first expectation | measured | all |",
        "|---|---|---|---|",
    ]
    for slug, rows in groupby(result["verdicts"], lambda verdict: verdict["comparison"]):
        verdicts = list(rows)
        first = verdicts[0]
        measured = first["because"]
        if first["verdict"] != "invalid":
            bounds = f"{tables.figure(first['low'])}–{tables.figure(first['high'])}"
            measured = f"{SIGNS[first['verdict']]} {tables.figure(first['measured'])} ({bounds})"
        counts = Counter(verdict["verdict"] for verdict in verdicts)
        every = " ".join(f"{counts[word]} {sign}" for word, sign in SIGNS.items() if counts[word])
        lines.append(f"| `{slug}` | {first['expectation']} | {measured} | {every} |")
    return "\n".join(lines) + "\n"


def block(result: Mapping[str, Any]) -> str:
    return f"{BEGIN}\n{table(result)}\n{machine(result)}\n\n{END}"


def pictured(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [row for row in result["measurements"] if row["comparison"] in PICTURED]


def main() -> None:
    result = json.loads(REFERENCE.read_text())
    before, _, rest = README.read_text().partition(BEGIN)
    README.write_text(before + block(result) + rest.partition(END)[2])
    figure = charts.throughput({"measurements": pictured(result)})
    with rc_context({"svg.hashsalt": "reference"}):  # the same picture from the same result
        figure.savefig(PICTURE, metadata={"Date": None})


if __name__ == "__main__":
    command.run(main)
