"""Sentences of docstrings and declarations as HTML."""

from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe


def prose(text: str) -> SafeString:
    """Return a sentence as HTML: a capital at its start, `code` between backticks."""
    parts = enumerate((text[:1].upper() + text[1:]).split("`"))
    return format_html_join(
        "", "{}{}{}", (_code(part) if n % 2 else ("", part, "") for n, part in parts)
    )


def _code(text: str) -> tuple[SafeString, str, SafeString]:
    return mark_safe("<code>"), text, mark_safe("</code>")
