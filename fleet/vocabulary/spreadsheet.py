"""Cells of CSV that a spreadsheet takes for what they are. Pure."""

from __future__ import annotations

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def harmless(value: object) -> object:
    """A text that would be a formula gets an apostrophe; numbers, negative ones and those in text too, stay."""
    if isinstance(value, str) and value[:1] in _FORMULAS and not value.lstrip("-").replace(".", "", 1).isdecimal():
        return f"'{value}"
    return value
