"""Sentences of docstrings and declarations as HTML, in the reader's language."""

from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext

# What str.upper() does not know.
CAPITALS = {"tr": {"i": "İ"}}


def prose(text: str) -> SafeString:
    """Return a sentence as HTML: translated, a capital at its start, `code` between backticks."""
    said = gettext(text) if text else ""  # gettext("") is the catalogue's header
    parts = enumerate(capital(said).split("`"))
    return format_html_join(
        "", "{}{}{}", (_code(part) if n % 2 else ("", part, "") for n, part in parts)
    )


def capital(said: str) -> str:
    """Begin a sentence with a capital, as the reader's language has them."""
    first = CAPITALS.get(get_language() or "", {}).get(said[:1]) or said[:1].upper()
    return first + said[1:]


def _code(text: str) -> tuple[SafeString, str, SafeString]:
    return mark_safe("<code>"), text, mark_safe("</code>")
