"""What every command begins and ends with: `manage.py`, `python -m loadtests.…`."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from comparisons.own_pairs import absolute, is_path
from project import exit_status, output, signals
from project.errors import FatalError
from project.processes import BASE_DIR, dying_with_parent

# Options of `compare` whose value may look like the path of a pair, and is none.
TAKE_PATHS = {
    *("--from", "--against", "--output", "--host", "--url", "--bystander"),
    *("--load-from", "--servers-on", "--checkout"),
}


def begin() -> None:
    """Prepare signals and output, before the imports that take time: Ctrl-C ends them too."""
    signals.handle()
    output.prepare()
    os.umask(os.umask(0o077) & 0o077)  # we must be able to read what we make
    # Another project's that is left in the environment is not ours; --settings chooses another.
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    _take_arguments()
    sys.excepthook = _end_of_imports


def _take_arguments() -> None:
    """Take from the command line what is needed, or would be misunderstood, before Django reads it.

    Puts the reader's own pairs into PAIRS, for this process and all that it starts.

    From `--pairs PATH`, which every command takes, and from `compare PATH`. Here, because they are
    imported with all others, before a command reads its arguments.
    """
    paths = [os.environ.get("PAIRS", "")]
    words = [sys.argv[0]]
    rest = iter(sys.argv[1:])
    for word in rest:
        option, equals, path = word.partition("=")
        if option == "--pairs":
            paths.append(path if equals else next(rest, "") or "--pairs")
            continue
        if words[1:2] == ["advise"] and option == "--settings":
            word = f"--project-settings{equals}{path}"  # Django would take them for its own
        words.append(word)
        if words[1] == "compare" and words[-2] not in TAKE_PATHS and _is_file_of_pair(word):
            paths.append(word)
    sys.argv[:] = words
    if found := absolute(os.pathsep.join(filter(None, paths))):
        os.environ["PAIRS"] = found


def _is_file_of_pair(word: str) -> bool:
    return is_path(word) and not word.startswith("-")


def _end_of_imports(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Say an error in one line, as `run` does, that comes before it: in the imports."""
    if isinstance(error, _said_in_one_line()):
        print(f"{sys.argv[0]}: {error}", file=sys.stderr)
        raise SystemExit(exit_status.CANNOT_RUN)
    sys.__excepthook__(kind, error, trace)


def _said_in_one_line() -> tuple[type[Exception], ...]:
    from environs import EnvError

    from comparisons.declarations import DeclarationError

    return FatalError, EnvError, DeclarationError


def run(main: Callable[[], int | None]) -> NoReturn:
    """Run it and exit with what it returns, or with what has ended it, after one line."""
    from project import limits

    try:
        with limits.named(), signals.raised():
            limits.check()
            try:
                status = main()
            finally:
                sys.stdout.flush()
    except KeyboardInterrupt:
        status = exit_status.INTERRUPTED
    except output.OutputError as lost:
        status = lost.status
        print(f"{sys.argv[0]}: {lost}", file=sys.stderr)
    except _said_in_one_line() as error:
        status = exit_status.CANNOT_RUN
        print(f"{sys.argv[0]}: {error}", file=sys.stderr)
    sys.exit(status)


def run_child(words: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run another of our commands to its end; what ends us ends it first, in good order."""
    child = subprocess.Popen(dying_with_parent(words), cwd=BASE_DIR, text=True, **options)
    try:
        output_, _ = child.communicate()
    except signals.Stopped:
        child.terminate()
        child.communicate()
        raise
    return subprocess.CompletedProcess(words, child.returncode, output_)
