"""What a terminal without UTF-8 gets: every sign that is not ASCII becomes one of the same width. Pure."""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType

from rich.cells import get_character_cell_size
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_SIGNS = MappingProxyType(
    {
        "…": "~", "·": ".", "–": "-", "—": "-", "×": "x", "→": ">", "←": "<", "↑": "^", "↓": "v", "↩": "<", "✓": "+",
        "✗": "X", "∅": "o", "●": "+", "▲": "^", "▼": "v", "■": "X", "◌": "~", "○": "o", "◇": "v", "◆": "V", "▌": "|",
        "▏": "|", "▎": "|", "▍": "|", "▋": "#", "▊": "#", "▉": "#", "█": "#", "▁": "_", "▂": ".", "▃": "-", "▄": "=",
        "▅": "+", "▆": "*", "▇": "%", "▔": "-", "▕": "|", "━": "=", "“": '"', "”": '"', "‘": "'", "’": "'", "€": "E",
    }
)  # fmt: skip
_BOX_FIRST, _BOX_LAST = 0x2500, 0x257F
_ACROSS = "─━┄┅┈┉╌╍═╴╶╸╺╼╾"
_DOWN = "│┃┆┇┊┋╎╏║╵╷╹╻╽╿"


class AsciiOnly(LineFilter):
    """A text of the same width in ASCII alone."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002 (LineFilter's)
        """See LineFilter."""
        return [
            segment if segment.text.isascii() else Segment(ascii_text(segment.text), segment.style, segment.control)
            for segment in segments
        ]


def ascii_text(text: str) -> str:
    """`text` in ASCII, as wide as it was. What has no likeness is a question mark."""
    return text if text.isascii() else "".join(map(_sign, text))


@lru_cache(maxsize=1024)
def _sign(sign: str) -> str:
    if sign.isascii():
        return sign
    if sign in _SIGNS:
        return _SIGNS[sign]
    if _BOX_FIRST <= ord(sign) <= _BOX_LAST:
        return "-" if sign in _ACROSS else "|" if sign in _DOWN else "+"
    return "?" * get_character_cell_size(sign)
