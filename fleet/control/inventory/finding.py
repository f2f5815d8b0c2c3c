"""Something that a person should look at, with its place. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """An `error` stops a deploy, a `warning` is shown. `place` is `file:line:column`, or empty where there is none."""

    place: str
    level: Literal["error", "warning"]
    message: str
    hint: str = ""

    @property
    def text(self) -> str:
        """The finding for a person: one line, and one for the hint."""
        where = f"{self.place}: " if self.place else ""
        return f"{where}{self.level}: {self.message}" + (f"\n  hint: {self.hint}" if self.hint else "")
