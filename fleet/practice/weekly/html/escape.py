"""Text in a page, and only text. Everything that a page shows goes through here."""

from __future__ import annotations

from html import escape

from fleet.practice.weekly.words import visible


def text(words: str) -> str:
    """Escaped for an element's content and for a quoted attribute; what hides or turns text around is shown as �."""
    return escape(visible(words), quote=True)


def tag(name: str, content: str = "", **attributes: str) -> str:
    """An element around `content`, which is HTML already. `class_` is `class`; `_` in a name is `-`."""
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{text(value)}"' for key, value in attributes.items())
    return f"<{name}{written}>{content}</{name}>"
