"""Small pictures as inline SVG: across in per cent, down in pixels, so text keeps its size on a phone. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from fleet.practice.weekly.html.escape import tag, text


@dataclass
class Canvas:
    """Draws in a box that is as wide as its place. `x` and `width` run from 0 to 100, `y` and `height` are pixels."""

    height: float
    parts: list[str] = field(default_factory=list)

    def box(
        self, x: float, y: float, width: float, height: float, look: str, *, round_: float = 2, says: str = ""
    ) -> None:
        """A rectangle. `says` is shown when a pointer rests on it."""
        title = tag("title", text(says)) if says else ""
        self.parts.append(
            f'<rect x="{_n(x)}%" y="{_n(y)}" width="{_n(max(width, 0))}%" height="{_n(max(height, 0))}" '
            f'rx="{_n(round_)}" class="{look}">{title}</rect>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, look: str) -> None:
        """A line."""
        self.parts.append(f'<line x1="{_n(x1)}%" y1="{_n(y1)}" x2="{_n(x2)}%" y2="{_n(y2)}" class="{look}"/>')

    def dot(self, x: float, y: float, radius: float, look: str, *, says: str = "") -> None:
        """A filled circle."""
        title = tag("title", text(says)) if says else ""
        self.parts.append(f'<circle cx="{_n(x)}%" cy="{_n(y)}" r="{_n(radius)}" class="{look}">{title}</circle>')

    def words(self, x: float, y: float, words: str, look: str, *, anchor: str = "start", nudge: float = 0) -> None:
        """Text with its foot at `y`; `nudge` pixels to the right."""
        shift = f' dx="{_n(nudge)}"' if nudge else ""
        place = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self.parts.append(f'<text x="{_n(x)}%" y="{_n(y)}"{shift}{place} class="{look}">{text(words)}</text>')

    def drawn(self, *, says: str) -> str:
        """The picture; `says` is its point for who cannot see it."""
        return (
            f'<svg role="img" aria-label="{text(says)}" width="100%" height="{_n(self.height)}" '
            f'xmlns="http://www.w3.org/2000/svg">{"".join(self.parts)}</svg>'
        )


def ticks(most: float, *, wanted: int = 4) -> Sequence[float]:
    """Round numbers from 0 to the first at or above `most`: 1, 2, 2.5 or 5 times a power of ten apart."""
    if most <= 0 or not math.isfinite(most):
        return (0.0, 1.0)
    rough = most / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * one for one in (1, 2, 2.5, 5, 10) if power * one >= rough * (1 - 1e-9))
    return tuple(step * number for number in range(math.ceil(most / step - 1e-9) + 1))


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
