"""`manage.py newpair PATH`: writes a pair that runs and explains itself."""

import argparse
import shlex
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from comparisons.own_pairs import slug_of, why_no_name

SKELETON = settings.BASE_DIR / "comparisons" / "skeleton.py"
CANNOT_RUN = 2  # as project/exit_status.py, which this package does not know
OURS = {file.stem for file in (settings.BASE_DIR / "comparisons" / "pairs").glob("[!_]*.py")}


class Command(BaseCommand):
    help = "Writes a pair of your own, which runs as it is, for you to change."
    requires_system_checks: list[str] = []  # it only writes a file

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("path", type=Path, metavar="PATH", help="where: somewhere/my_pair.py")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["path"]
        if path.suffix != ".py":
            raise _bad(f"{path} is no Python file: call it {path.with_suffix('.py')}")
        if why := why_no_name(path.stem):
            raise _bad(f"{path}: {why}")
        if path.stem in OURS:
            raise _bad(f"{path}: comparisons/pairs/{path.stem}.py has this name already")
        try:
            with open(path, "x") as file:
                file.write(SKELETON.read_text())
        except FileExistsError:
            raise _bad(f"{path} exists, and is left as it is") from None
        except OSError as error:
            raise _bad(f"cannot write {path}: {error.strerror}") from None
        quoted, slug = shlex.quote(str(path)), slug_of(path)
        print(f"{path} is written, and runs as it is:\n")
        print(f"  python manage.py compare {quoted}")
        print(f"  python manage.py runserver --pairs {quoted}    # http://127.0.0.1:8000/{slug}/")
        print(f"  python manage.py serve --pairs {quoted} {slug}/async_gathered")


def _bad(message: str) -> CommandError:
    return CommandError(message, returncode=CANNOT_RUN)
