"""Readings over time in one line of text, on a scale that all rows share. Pure.

A reading that nobody took is a blank: a gap is a gap. The scale is fixed, so two rows can be compared, and an idle
node's noise stays low.
"""

from __future__ import annotations

from collections.abc import Sequence

_STEPS = "▁▂▃▄▅▆▇█"
_ASCII = "_.-=+*%#"
_FULL = "█"
_EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")


def spark(values: Sequence[float | None], *, width: int, low: float, high: float, unicode: bool = True) -> str:
    """The newest `width` readings, the newest last; what is outside of the scale is at its end."""
    steps = _STEPS if unicode else _ASCII
    newest = values[-width:] if width else ()
    reach = max(high - low, 1e-9)
    drawn = [
        " " if value is None else steps[max(0, min(len(steps) - 1, int((value - low) / reach * len(steps))))]
        for value in newest
    ]
    return "".join(drawn).rjust(width)


def bar(ratio: float | None, *, width: int, unicode: bool = True) -> str:
    """How full something is; nothing is drawn of what nobody knows."""
    if ratio is None:
        return "-".ljust(width)
    ratio = max(0.0, min(1.0, ratio))
    if not unicode:
        return ("#" * round(ratio * width)).ljust(width, ".")
    eighths = round(ratio * width * 8)
    whole, part = divmod(eighths, 8)
    return (_FULL * whole + _EIGHTHS[part])[:width].ljust(width, "·")
