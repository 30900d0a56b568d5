"""What the README shows of the reference run: `python -m loadtests.reference` makes both again.

Reads loadtests/results/reference.json; writes the table between README's markers, and the picture
beside the pages' other static files.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

from project.services import BASE_DIR

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

import django

django.setup()

from loadtests import charts  # noqa: E402
from loadtests.tables import figure  # noqa: E402
from loadtests.verdicts import SIGNS  # noqa: E402

REFERENCE = BASE_DIR / "loadtests" / "results" / "reference.json"
PICTURE = BASE_DIR / "comparisons" / "static" / "comparisons" / "reference.svg"
README = BASE_DIR / "README.md"
BEGIN, END = "<!-- results: python -m loadtests.reference -->\n", "<!-- end of results -->\n"


def machine(result: Mapping[str, Any]) -> str:
    """One line: when, on what, with what."""
    it = result["environment"]
    return (
        f"Measured {result['finished']} on {it['cpu_count']} cores of an {it['cpu_model']}, "
        f"Python {it['python']}, Django {it['django']}, PostgreSQL {it['postgres']}, "
        f"uvicorn {it['uvicorn']}, gunicorn {it['gunicorn']}, locust {it['locust']}."
    )


def table(result: Mapping[str, Any]) -> str:
    """Markdown: a line per verdict."""
    lines = ["| comparison | expectation | | measured (95 % interval) |", "|---|---|---|---|"]
    for verdict in result["verdicts"]:
        measured = (
            f"{figure(verdict['measured'])} ({figure(verdict['low'])}–{figure(verdict['high'])})"
        )
        if verdict["verdict"] == "invalid":
            measured = verdict["because"]
        lines.append(
            f"| `{verdict['comparison']}` | {verdict['expectation']} "
            f"| {SIGNS[verdict['verdict']]} {verdict['verdict']} | {measured} |"
        )
    return "\n".join(lines) + "\n"


def block(result: Mapping[str, Any]) -> str:
    return f"{BEGIN}\n{table(result)}\n{machine(result)}\n\n{END}"


def main() -> None:
    result = json.loads(REFERENCE.read_text())
    before, _, rest = README.read_text().partition(BEGIN)
    README.write_text(before + block(result) + rest.partition(END)[2])
    charts.throughput(result).savefig(PICTURE, metadata={"Date": None})


if __name__ == "__main__":
    main()
