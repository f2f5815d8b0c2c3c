"""Text that fits where it goes: broken between words on a terminal, untouched anywhere else."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import TextIO

_LEAD = re.compile(r"\s*(?:hint: )?")
_NARROWEST = 30
_NAMED = 6


def fitted(text: str, width: int) -> str:
    """`text` with no line longer than `width`; what a long line goes on with stands under its first word.

    A word that is too long itself (a path, a digest) stays whole.
    """
    return "\n".join(_line(line, max(width, _NARROWEST)) for line in text.split("\n"))


def for_stdout(text: str) -> str:
    """`text` as it fits stdout: broken between words when that is a terminal."""
    return _for(sys.stdout, text)


def for_stderr(text: str) -> str:
    """`text` as it fits stderr: broken between words when that is a terminal."""
    return _for(sys.stderr, text)


def _for(stream: TextIO, text: str) -> str:
    return fitted(text, shutil.get_terminal_size().columns) if stream.isatty() else text


def names_text(names: Sequence[str]) -> str:
    """Names in a row; of many the first few, and how many more."""
    if len(names) <= _NAMED:
        return ", ".join(names)
    few = names[: _NAMED - 1]
    return f"{', '.join(few)} and {len(names) - len(few)} more"


def _line(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    lead = _LEAD.match(line)
    indent = " " * lead.end() if lead else ""
    return textwrap.fill(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )
