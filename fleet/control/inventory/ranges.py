"""Host ranges as Ansible expands them: `mini-[1:4]`, `[01:12]`, `[1:9:2]`, `[a:f]`, several in one name. Pure."""

from __future__ import annotations

import itertools
import math
import re
import string

MAX_NODES = 10_000

NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?", re.ASCII)
"""What a node or group may be called: it becomes part of file names, labels and selectors."""

_RANGE = re.compile(r"\[([^\[\]]*)\]")


class BadRange(ValueError):
    """A range that means nothing, or more than fleet takes. The text says why."""


def is_range(pattern: str) -> bool:
    """Whether a host key stands for several nodes."""
    return "[" in pattern


def expand(pattern: str, *, limit: int = MAX_NODES) -> tuple[str, ...]:
    """Every name that `pattern` stands for, in order; itself when it has no range. Raises BadRange."""
    literals = _RANGE.split(pattern)
    if any("[" in part or "]" in part for part in literals):
        raise BadRange("the brackets do not pair up")
    words = [_sequence(bounds) for bounds in literals[1::2]]
    count = math.prod(len(word) for word, _ in words)
    if count > limit:
        raise BadRange(f"it stands for {count:,} nodes; fleet takes {limit:,}")
    texts = [word if isinstance(word, str) else [str(number).zfill(width) for number in word] for word, width in words]
    heads = literals[::2]
    return tuple(
        "".join(head + text for head, text in zip(heads, (*choice, ""), strict=True))
        for choice in itertools.product(*texts)
    )


def _sequence(bounds: str) -> tuple[range | str, int]:
    """Letters, or numbers (not written out yet) and the width of each."""
    parts = bounds.split(":")
    if len(parts) not in (2, 3):
        raise BadRange(f"[{bounds}] is not [first:last] or [first:last:step]")
    first, last, step = parts[0] or "0", parts[1], parts[2] if len(parts) == 3 else "1"
    if not step.isascii() or not step.isdigit() or len(step) > 9 or int(step) == 0:
        raise BadRange(f"the step {step!r} is no number from 1")
    if len(first) == len(last) == 1 and first in string.ascii_letters and last in string.ascii_letters:
        start, stop = string.ascii_letters.index(first), string.ascii_letters.index(last)
        if start > stop:
            raise BadRange(f"[{bounds}] runs backwards")
        return string.ascii_letters[start : stop + 1 : int(step)], 0
    if not all(bound.isascii() and bound.isdigit() and len(bound) <= 18 for bound in (first, last)):
        raise BadRange(f"[{bounds}] runs neither from number to number nor from letter to letter")
    padded = len(first) > 1 and first.startswith("0")
    if padded and len(first) != len(last):
        raise BadRange(f"[{bounds}] is padded with zeros: both ends need the same width")
    numbers = range(int(first), int(last) + 1, int(step))
    if not numbers:
        raise BadRange(f"[{bounds}] runs backwards")
    return numbers, len(first) if padded else 0
