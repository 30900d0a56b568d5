"""What the README shows of the reference run; `python -m loadtests.reporting.reference` remakes it.

Reads loadtests/results/reference.json; writes the table between README's markers, and the picture
beside the pages' other static files.
"""

from project import command

if __name__ == "__main__":
    command.begin()

from itertools import groupby

import django

from project.processes import BASE_DIR

django.setup()

from matplotlib import rc_context  # noqa: E402

from comparisons import result_store  # noqa: E402
from comparisons.result import (  # noqa: E402
    OUTCOMES,
    Measurement,
    Result,
    counts,
    figure,
    interval,
    timestamp,
)
from loadtests.reporting import charts  # noqa: E402

REFERENCE = BASE_DIR / "loadtests" / "results" / result_store.REFERENCE
PICTURE = BASE_DIR / "comparisons" / "static" / "comparisons" / "reference.svg"
README = BASE_DIR / "README.md"
PICTURED = ("blocking-call", "workers", "threads", "sequential-awaits")
BEGIN = "<!-- results: python -m loadtests.reporting.reference -->\n"
END = "<!-- end of results -->\n"


def machine(result: Result) -> str:
    """One line: when, on what, with what."""
    it = result.environment
    return (
        f"Measured {timestamp(result.finished or result.started)} on {it['cpu_count']} cores of an "
        f"{it['cpu_model']}, Python {it['python']}, Django {it['django']}, "
        f"PostgreSQL {it['postgres']}, uvicorn {it['uvicorn']}, gunicorn {it['gunicorn']}, "
        f"locust {it['locust']}."
    )


def table(result: Result) -> str:
    """Markdown: a line per comparison, with its first expectation and the count of all."""
    lines = [
        "| comparison | its first expectation | measured | all |",
        "|---|---|---|---|",
    ]
    for slug, of_slug in groupby(result.verdicts, lambda verdict: verdict.comparison):
        verdicts = list(of_slug)
        first = verdicts[0]
        measured = first.because
        if first.outcome != "invalid":
            bounds = interval(first.low, first.high)
            measured = f"{first.words.sign} {figure(first.measured)} ({bounds})"
        every = " ".join(
            f"{count} {OUTCOMES[outcome].sign}"
            for outcome, count in counts(verdicts).items()
            if count
        )
        lines.append(f"| `{slug}` | {first.expectation} | {measured} | {every} |")
    return "\n".join(lines) + "\n"


def block(result: Result) -> str:
    return f"{BEGIN}\n{table(result)}\n{machine(result)}\n\n{END}"


def pictured(result: Result) -> list[Measurement]:
    return [row for row in result.measurements if row.comparison in PICTURED]


def main() -> None:
    result = result_store.read(REFERENCE)
    before, _, rest = README.read_text().partition(BEGIN)
    README.write_text(before + block(result) + rest.partition(END)[2])
    figure = charts.throughput(pictured(result))
    with rc_context({"svg.hashsalt": "reference"}):  # the same picture from the same result
        figure.savefig(PICTURE, metadata={"Date": None})


if __name__ == "__main__":
    command.run(main)
