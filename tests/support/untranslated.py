"""What a page shows that no catalogue can translate, because nothing marks it."""

import re
from collections.abc import Collection, Iterator
from html import escape
from html.parser import HTMLParser
from typing import Any

import pytest
from django.utils import translation
from django.utils.safestring import SafeString, mark_safe

from comparisons.pages.marks import Chart

# What stands for itself in any language, beside what has translate="no" or a lang of its own.
UNTRANSLATED = ("code", "pre", "script", "style")
WRITTEN = ("said", "figure", "label", "note", "title")  # by a chart
SAID = ("aria-label", "alt", "title", "placeholder")


def mark_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on, put what goes through gettext in ⟦brackets⟧."""

    def gettext(text: str) -> str:
        return f"⟦{text}⟧"

    def ngettext(singular: str, plural: str, number: int) -> str:
        return f"⟦{singular if number == 1 else plural}⟧"

    monkeypatch.setattr(translation._trans, "gettext", gettext, raising=False)
    monkeypatch.setattr(translation._trans, "ngettext", ngettext, raising=False)


def unmarked(html: str, names: Collection[str] = ()) -> list[str]:
    """The texts of a page, and of its labels, that stand outside of all brackets.

    names: what else stands for itself.
    """
    page = _Page()
    page.feed(html)
    text = "".join(page.texts)
    while text != (text := re.sub(r"⟦[^⟦⟧]*⟧", " ", text)):
        pass
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return [line for line in lines if {*re.findall(r"[\w./-]*[^\W\d_][\w./-]*", line)} - {*names}]


def words_of(chart: Chart) -> SafeString:
    """All that a chart writes, as HTML: what Vega cuts off too, and without drawing it."""

    def found(part: Any) -> Iterator[str]:
        if isinstance(part, list):
            for one in part:
                yield from found(one)
        elif isinstance(part, dict):
            for name, one in part.items():
                if isinstance(one, str) and name in WRITTEN:
                    yield f"<p>{escape(one)}</p>"
                yield from found(one)

    return mark_safe("".join(found(chart.spec["layer"])))


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._inside: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.texts.append(" ")
        self.texts += [f"\n{value}\n" for name, value in attrs if name in SAID and value]
        of_one_language = dict(attrs).get("translate") == "no" or "lang" in dict(attrs)
        if tag in UNTRANSLATED or (of_one_language and tag != "html"):
            self._inside.append(tag)

    def handle_endtag(self, tag):
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()
        if tag in ("p", "li", "dd", "dt", "h1", "h2", "h3", "td", "th", "title"):
            self.texts.append("\n")

    def handle_data(self, data):
        if not self._inside:
            self.texts.append(data)
