"""Django's own tests as the judge of our ASGI handler: with it, they must end as with Django's.

    python -m tests.django_suite [LABEL ...] [--handler PATH]

The tests are those of the source distribution of the Django that is installed, which pip fetches
into `.django-suite/`; what they test is the Django that is installed. They run twice, on SQLite as
is Django's default: with the stock `ASGIHandler`, and with ours wherever Django would take it (see
`tests/support/suite_process.py`). Each test whose outcome differs is printed.

Exit status 0: every difference is in EXPECTED, and nothing in it is unused. 1: not so. 2: a wrong
argument, or the tests can't be fetched or run.
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import django

from project import signals
from project.processes import BASE_DIR, dying_with_parent

LABELS = [
    *("asgi", "async", "handlers", "signals", "middleware", "requests_tests", "responses"),
    *("staticfiles_tests", "sessions_tests"),
    *("middleware_exceptions", "test_client", "logging_tests"),  # these use the async client
]
STOCK = "django.core.handlers.asgi.ASGIHandler"
OURS = "project.direct.DirectASGIHandler"
CACHE = BASE_DIR / ".django-suite"
FETCH_SECONDS, RUN_SECONDS = 120, 300  # what takes longer hangs
FAULTS = ("unexpected success", "failed", "error")

# The tests whose outcome differs with our handler, by their ids, and why: for each of the Djangos.
EXPECTED: dict[str, dict[str, str]] = {
    "5.2": {
        "asgi.tests.ASGITest.test_assert_in_listen_for_disconnect (on a loop, views too)": (
            "as in 6.1, the view runs in the request's own task: where it waits for nothing, no"
            " message that comes after the body is read before the answer is sent"
        ),
    },
    "6.1": {},
}


class SuiteError(Exception):
    """The tests can't be fetched or run; the text is one line for the user."""


@dataclass(frozen=True)
class Outcome:
    """What became of a test: "passed", "skipped", "failed" ..., and its traceback or reason."""

    kind: str
    detail: str = ""


Outcomes = Mapping[str, Outcome]  # by the test's id


@dataclass(frozen=True)
class Run:
    """One run of the tests: their outcomes, and the requests that the handler got."""

    outcomes: Outcomes
    requests: int
    without_thread: int  # requests of these that used no thread


@dataclass(frozen=True)
class Comparison:
    """The ids of the tests whose outcome differs, and the explanations that explain nothing."""

    explained: list[str]
    unexplained: list[str]
    unused: list[str]


def compare(stock: Outcomes, ours: Outcomes, expected: Mapping[str, str]) -> Comparison:
    """Compare test by test; a test that only one of the two runs has differs.

    Two that fail differ if they raise different exceptions.
    """
    differing = [
        test for test in sorted({*stock, *ours}) if not same(stock.get(test), ours.get(test))
    ]
    return Comparison(
        explained=[test for test in differing if test in expected],
        unexplained=[test for test in differing if test not in expected],
        unused=[test for test in expected if test not in differing],
    )


def same(one: Outcome | None, other: Outcome | None) -> bool:
    if one is None or other is None or one.kind != other.kind:
        return False
    return one.kind not in FAULTS or error_of(one) == error_of(other)


def error_of(outcome: Outcome) -> str:
    """Return the exception's name, without its text, in which there may be addresses and times."""
    last = [line for line in outcome.detail.splitlines() if line and not line[0].isspace()][-1:]
    return last[0].partition(":")[0] if last else ""


# --- The tests


def fetch(version: str) -> Path:
    """Return the folder of this Django's tests; have pip download them if they are not there yet.

    Only the tests are unpacked: the distribution's own `django` can't be the one that is tested.
    """
    folder = CACHE / f"django-{version}"
    if not folder.is_dir():
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as download:
            archive = download_source(version, Path(download))
            try:
                unpack_tests(archive, Path(download) / "unpacked")
                (found,) = (Path(download) / "unpacked").iterdir()
                (found / "tests" / "runtests.py").stat()
            except (OSError, EOFError, tarfile.TarError, ValueError) as error:
                raise SuiteError(f"{archive.name} can't be unpacked: {error}") from None
            try:
                found.rename(folder)
            except OSError:  # another run was faster
                if not folder.is_dir():
                    raise
    return folder / "tests"


def download_source(version: str, folder: Path) -> Path:
    """Download the source distribution of this Django into the folder."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    source = ["--no-deps", "--no-binary", "django", "--dest", str(folder), f"django=={version}"]
    try:
        done = subprocess.run(
            dying_with_parent([*pip, *source]),
            capture_output=True,
            text=True,
            timeout=FETCH_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise SuiteError(f"pip has not fetched Django {version} in {FETCH_SECONDS} s") from None
    archives = list(folder.glob("*.tar.gz"))
    if done.returncode or len(archives) != 1:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["it says nothing"]
        errors = [line for line in said if "error" in line.lower()]
        raise SuiteError(f"pip can't fetch Django {version}'s source: {(errors or said)[-1]}")
    return archives[0]


def unpack_tests(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as opened:
        members = [each for each in opened if each.isreg() and each.name.split("/")[1] == "tests"]
        # Debian's Python 3.11 has no filter yet, and newer ones warn without.
        filtered = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        opened.extractall(folder, members, **filtered)


# --- The runs


def run_both(folder: Path, handlers: Sequence[str], labels: Sequence[str]) -> list[Run]:
    """Run the tests with each of the handlers, at the same time, and return what came of it."""
    with ExitStack() as stack:
        temporary = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        started = []
        for number, handler in enumerate(handlers):
            own = temporary / str(number)
            own.mkdir()
            process = start(handler, folder, own, labels)
            stack.callback(end, process)
            started.append((process, handler, own))
        return [finish(*each) for each in started]


def start(handler: str, folder: Path, own: Path, labels: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.support.suite_process", handler, str(folder)]
    kept_back = ("DJANGO_", "PYTHON", "RUNTESTS_", "COVERAGE_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(kept_back)}
    environ |= {"TMPDIR": str(own), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    with open(own / "log", "wb") as log:
        return subprocess.Popen(
            dying_with_parent([*command, str(own / "report.json"), *labels]),
            cwd=BASE_DIR,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()


def finish(process: subprocess.Popen[bytes], handler: str, own: Path) -> Run:
    """Wait for the run's end, and return what it has written."""
    name = handler.rpartition(".")[2]
    log, report = own / "log", own / "report.json"
    try:
        status = process.wait(RUN_SECONDS)
    except subprocess.TimeoutExpired:
        raise SuiteError(f"{name}: no end after {RUN_SECONDS} s, {last_line(log)}") from None
    if not report.exists():
        raise SuiteError(f"{name}: ended with {status}, {last_line(log)}")
    content = json.loads(report.read_text())
    outcomes = {test: Outcome(*outcome) for test, outcome in content["tests"].items()}
    if not outcomes:
        raise SuiteError(f"{name}: no test has run, {last_line(log)}")
    if content["stock_in"]:
        raise SuiteError(f"{name}: Django's own is still used, in {', '.join(content['stock_in'])}")
    if content["django"] != [django.__version__, str(Path(django.__file__).parent)]:
        raise SuiteError(f"{name}: another Django was tested, {' in '.join(content['django'])}")
    return Run(outcomes, content["requests"]["all"], content["requests"]["without_thread"])


def last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return f"at: {next((line for line in reversed(lines) if line.strip()), 'its start')}"


# --- What is printed


def summary(handler: str, run: Run) -> str:
    counts = Counter(outcome.kind for outcome in run.outcomes.values())
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
    return (
        f"{handler.rpartition('.')[2]}: {len(run.outcomes)} tests ({kinds});"
        f" {run.requests} requests, {run.without_thread} of them without a thread"
    )


def print_difference(test: str, stock: Run, ours: Run, seen: set[str]) -> None:
    """Print how the outcomes differ; the traceback of an error only where it is the first such.

    seen: the errors that were printed before; they are added to.
    """
    before = stock.outcomes.get(test, Outcome("not run"))
    now = ours.outcomes.get(test, Outcome("not run"))
    print(f"\n{test}: {before.kind} with Django's handler, {now.kind} with ours")
    for outcome in (before, now):
        if outcome.kind in FAULTS:
            lines = outcome.detail.strip().splitlines()
            known = lines[-1] in seen
            seen.add(lines[-1])
            print("  " + "\n  ".join(lines[-1:] if known else lines))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    signals.handle()
    parser = argparse.ArgumentParser(prog="python -m tests.django_suite", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("labels", nargs="*", metavar="LABEL", help=f"default: {' '.join(LABELS)}")
    parser.add_argument("--handler", default=OURS, metavar="PATH", help=f"default: {OURS}")
    options = parser.parse_args(arguments)
    labels = options.labels or LABELS
    try:
        with signals.raised():
            folder = fetch(django.__version__)
            if wrong := [each for each in labels if not (folder / each.split(".")[0]).is_dir()]:
                raise SuiteError(f"Django {django.__version__} has no tests {', '.join(wrong)}")
            print(f"Django {django.__version__}'s own tests: {' '.join(labels)}", flush=True)
            stock, ours = run_both(folder, (STOCK, options.handler), labels)
    except SuiteError as error:
        print(error, file=sys.stderr)
        return 2
    print(summary(STOCK, stock))
    print(summary(options.handler, ours))
    expected = EXPECTED.get(django.__version__.rpartition(".")[0], {})
    if labels != LABELS:  # what others explain was not asked
        expected = {test: why for test, why in expected.items() if test in stock.outcomes}
    compared = compare(stock.outcomes, ours.outcomes, expected)
    seen: set[str] = set()
    for test in compared.unexplained:
        print_difference(test, stock, ours, seen)
    for test in compared.explained:
        print(f"\n{test} differs, as expected: {expected[test]}")
    for test in compared.unused:
        print(f"\n{test} does not differ: EXPECTED explains nothing")
    both = [t for t, o in stock.outcomes.items() if o.kind in FAULTS and t in ours.outcomes]
    if both:
        print("\nThese fail with Django's handler too, and so judge nothing:", *both, sep="\n  ")
    if not ours.requests:
        print("\nNo test has sent our handler a request.")
    faults = len(compared.unexplained) + len(compared.unused)
    print(f"\n{len(compared.explained)} differences explained, {faults} faults")
    return int(bool(faults) or not ours.requests)


if __name__ == "__main__":
    sys.exit(main())
