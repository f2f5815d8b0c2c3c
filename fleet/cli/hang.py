"""Styled lines that fit a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

_NARROWEST = 20


def hang(console: Console, text: Text, *, indent: int = 0) -> None:
    """Print one line: on a terminal broken between words and going on `indent` from the left, whole anywhere else."""
    if not console.is_terminal or text.cell_len <= console.width:
        console.print(text, highlight=False, soft_wrap=True)
        return
    lead, body = text.divide([indent]) if indent else (Text(), text)
    for number, part in enumerate(body.wrap(console, max(_NARROWEST, console.width - indent))):
        part.rstrip()
        console.print(Text.assemble(Text(" " * indent) if number else lead, part), highlight=False)
