"""The catalogue of the pages' texts: gathers them, keeps their translations, compiles both.

    python -m comparisons.translations > todo.json     # what has no translation yet
    python -m comparisons.translations todo.json       # ... and has it now

Texts are marked in templates and Python files, or stand in the registry: there a comparison's
docstring is read as its page reads it. The .mo is committed with the .po: a fresh clone needs
neither gettext's programs nor a build to show its pages.
"""

import argparse
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import django
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation import templatize

APPS = ["comparisons", "loadtests", "project"]  # whose files have texts that a reader sees
PO = Path(__file__).parent / "locale/tr/LC_MESSAGES/django.po"
MO = PO.with_suffix(".mo")
KEYWORDS = DEFAULT_KEYWORDS | {"marked": None, "gettext_lazy": None}
KEPT = r"%\(\w+\)[sd]|\{[^{}]*\}|`[^`]*`|</?\w[^>]*>"

Text = tuple[str, Any]  # the file that it is from, and the text, or a singular and a plural


def marked_texts() -> Iterator[Text]:
    """The texts that are marked in templates and Python files."""
    for app in APPS:
        for path in sorted((settings.BASE_DIR / app).rglob("*")):
            if path.suffix == ".html":
                code = templatize(path.read_text(), origin=str(path))
                # Indented as HTML is, it is no Python; and no text goes over several lines.
                code = "\n".join(line.strip() for line in code.splitlines())
            elif path.suffix == ".py":
                code = path.read_text()
            else:
                continue
            for _line, text, _comments, context in extract(
                "python", BytesIO(code.encode()), keywords=KEYWORDS
            ):
                assert context is None, f"{path}: contexts are not gathered"
                yield str(path.relative_to(settings.BASE_DIR)), text


def registry_texts() -> Iterator[Text]:
    """The texts of comparisons that pages show."""
    from comparisons.loading import LABELS
    from comparisons.pages.source import declared_pitfall, path_of
    from comparisons.pairs import COMPARISONS, GROUPS
    from comparisons.questions import QUESTIONS
    from comparisons.refuted import EXPLAINED

    yield from (("comparisons/loading.py", label) for label in LABELS)
    yield from (("comparisons/pairs/__init__.py", group) for group in GROUPS)
    yield from (("comparisons/questions.py", question) for question in QUESTIONS)
    yield from (("comparisons/refuted.py", explanation) for explanation in EXPLAINED.values())
    for deployment in settings.DEPLOYMENTS.values():
        yield "project/deployments.py", deployment.about
        if deployment.why_not_async:
            yield "project/deployments.py", deployment.why_not_async
    for comparison in COMPARISONS.values():
        texts = [comparison.title, *comparison.lesson().values()]
        texts += [expectation.why for expectation in comparison.expectations]
        texts += [declared_pitfall(variant) for variant in comparison.variants if variant.pitfall]
        yield from ((path_of(comparison.module), text) for text in texts if text)


def updated() -> Catalog:
    """The catalogue as the present sources ask for it, with the translations that it has.

    A text that has changed is a new one: the old one's translation stands in the diff. (What Babel
    takes for like it is more often something else.)
    """
    present = Catalog(fuzzy=False)
    for texts, is_prose in ((marked_texts(), False), (registry_texts(), True)):
        for file, text in texts:
            message = present.add(text, locations=[(file, 0)])
            if is_prose:  # a percent sign is one
                message.flags.discard("python-format")
    catalog = read_po(BytesIO(PO.read_bytes()))
    catalog.update(present, no_fuzzy_matching=True, update_creation_date=False)
    catalog.obsolete.clear()
    return catalog


def untranslated(catalog: Catalog) -> list[Message]:
    return [
        message
        for message in catalog
        if message.id and (message.fuzzy or not all(_strings(message.string)))
    ]


def add(catalog: Catalog, translations: dict[str, Any]) -> list[str]:
    """Add translations, by text; return the texts that the catalogue does not have."""
    unknown = []
    for text, string in translations.items():
        message = catalog.get(text)
        if message is None:
            unknown.append(text)
        elif all(_strings(string)):
            message.string = tuple(string) if isinstance(string, list) else string
            message.flags.discard("fuzzy")
    return unknown


def differences(catalog: Catalog) -> list[str]:
    """Translations that have other placeholders, code, tags or numbers than their text, by line."""
    found = []
    for message in catalog:
        for string in _strings(message.string) if message.id else ():
            ours, theirs = (_kept(text) for text in (_strings(message.id)[-1], string))
            if string and ours != theirs:
                differs = (ours - theirs) + (theirs - ours)
                found.append(f"{', '.join(map(repr, differs))} differs: {message.id!r} {string!r}")
    return found


def _kept(text: str) -> Counter[str]:
    """What a translation keeps: placeholders, code, tags, and the digits of numbers."""
    numbers = re.findall(r"\d(?:[\d.,]*\d)?", re.sub(KEPT, " ", text))
    return Counter(re.findall(KEPT, text) + [re.sub(r"\D", "", number) for number in numbers])


def _strings(string: Any) -> list[str]:
    return [string or ""] if isinstance(string, str | None) else list(string)


def po_of(catalog: Catalog) -> bytes:
    file = BytesIO()
    write_po(file, catalog, width=100, include_lineno=False)
    return file.getvalue()


def mo_of(catalog: Catalog) -> bytes:
    file = BytesIO()
    write_mo(file, catalog)
    return file.getvalue()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m comparisons.translations",
        description="Bring the catalogue up to date; print what is untranslated, as JSON.",
    )
    parser.add_argument(
        "translations", nargs="*", type=Path, help="JSON files of translations to add, by text"
    )
    files = parser.parse_args().translations
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    django.setup()
    catalog = updated()
    for file in files:
        for text in add(catalog, json.loads(file.read_text())):
            print(f"{file}: no page has {text!r}", file=sys.stderr)
    PO.write_bytes(po_of(catalog))
    MO.write_bytes(mo_of(catalog))
    open_ = untranslated(catalog)
    todo = {_strings(message.id)[0]: message.string or "" for message in open_}
    json.dump(todo, sys.stdout, ensure_ascii=False, indent=1)
    print()
    for line in differences(catalog):
        print(line, file=sys.stderr)
    print(f"{len(catalog)} texts, {len(open_)} untranslated", file=sys.stderr)
    return 1 if open_ or differences(catalog) else 0


if __name__ == "__main__":
    sys.exit(main())
