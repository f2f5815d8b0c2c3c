"""Prometheus text 0.0.4, written. Pure. What is not known has no series; it is never 0.

Base units, `_total` on counters, no `node` label of our own: target labels belong to the scraper.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]
Sample = tuple[Labels, float | None]


class Exposition:
    """Collects families in the order in which they are given; one without samples leaves no trace."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def family(self, name: str, kind: str, about: str, samples: Iterable[Sample]) -> None:
        """One gauge or counter with its series."""
        known = [(labels, value) for labels, value in samples if value is not None and math.isfinite(value)]
        if not known:
            return
        self._head(name, kind, about)
        self._lines += [f"{name}{_braces(labels)} {_number(value)}" for labels, value in known]

    def one(self, name: str, kind: str, about: str, value: float | None) -> None:
        """A family of one series without labels."""
        self.family(name, kind, about, [((), value)])

    def histogram(
        self, name: str, about: str, bounds: Sequence[float], series: Iterable[tuple[Labels, Sequence[int], float]]
    ) -> None:
        """A histogram: per series its labels, how many fell into each bucket (one more than bounds), and their sum."""
        known = [(labels, counts, total) for labels, counts, total in series if any(counts)]
        if not known:
            return
        self._head(name, "histogram", about)
        edges = [*(_number(bound) for bound in bounds), "+Inf"]
        for labels, counts, total in known:
            reached = 0
            for edge, count in zip(edges, counts, strict=True):
                reached += count
                self._lines.append(f"{name}_bucket{_braces((*labels, ('le', edge)))} {reached}")
            self._lines.append(f"{name}_sum{_braces(labels)} {_number(total)}")
            self._lines.append(f"{name}_count{_braces(labels)} {reached}")

    def encode(self) -> bytes:
        """The text."""
        return ("\n".join(self._lines) + "\n").encode()

    def _head(self, name: str, kind: str, about: str) -> None:
        told = about.replace("\\", "\\\\").replace("\n", "\\n")
        self._lines += [f"# HELP {name} {told}", f"# TYPE {name} {kind}"]


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**63 else repr(float(value))
