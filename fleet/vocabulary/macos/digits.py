"""Numbers in the text of commands: strict, bounded, and None for anything else. Standard library only."""

from __future__ import annotations

import re

_WHOLE = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_DECIMAL = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,12})?", re.ASCII)


def whole(text: str | None) -> int | None:
    """The integer that `text` is, apart from blanks around it."""
    if text is None or not _WHOLE.fullmatch(text.strip()):
        return None
    return int(text)


def decimal(text: str | None) -> float | None:
    """The plain decimal number that `text` is, apart from blanks around it."""
    if text is None or not _DECIMAL.fullmatch(text.strip()):
        return None
    return float(text)
