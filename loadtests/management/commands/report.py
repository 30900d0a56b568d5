"""`manage.py report FILE`: a result as one HTML file that opens anywhere, offline too."""

import argparse
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from rich.console import Console
from rich.progress import Progress

from comparisons import result_store
from comparisons.pages import report
from comparisons.result_store import ResultError
from loadtests.arguments import bad
from project import signals


class Command(BaseCommand):
    help = "Writes a result as one self-contained HTML file."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="the result file")
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="its name with .html, if you don't say"
        )
        parser.add_argument("--force", action="store_true", help="overwrite what is there")
        parser.add_argument(
            "--language",
            default=settings.LANGUAGE_CODE,
            metavar="CODE",
            help=f"of the text; {settings.LANGUAGE_CODE} if you don't say",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        source, language = options["file"], options["language"]
        path = options["output"] or source.with_suffix(".html")
        if language not in (settings.LANGUAGE_CODE, *dict(settings.LANGUAGES)):
            raise bad(f"there is no language {language!r}")
        try:
            result = result_store.read(source)
        except ResultError as error:
            raise bad(str(error)) from None
        if path.exists() and path.samefile(source):
            raise bad(f"{path} is the result itself")
        if path.exists() and not options["force"]:
            raise bad(f"{path} exists; --force overwrites a report")
        console = Console(stderr=True)
        slugs = report.slugs_of(result)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            sections = [
                report.section(result, source.name, slug, language)
                for slug in progress.track(slugs, description="drawing")
            ]
        text = report.html(result, source.name, sections, language)
        _write(path, text)
        what = (
            f"advice on {result.advice.project}" if result.advice else f"{len(slugs)} comparisons"
        )
        print(f"{path}: {what}, {len(text.encode()) / 1e6:.1f} MB")


def _write(path: Path, text: str) -> None:
    """Write the whole file or nothing. CommandError if that cannot be."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with signals.held():
        try:
            draft.write_text(text, encoding="utf-8")
            os.replace(draft, path)
        except OSError as error:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise bad(f"cannot write {path}: {error.strerror}") from None
