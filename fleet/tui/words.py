"""Words that a person seeks, and texts that must fit. Pure."""

from __future__ import annotations


def holds(said: str, sought: str) -> bool:
    """Whether every word of `sought` is in `said` (which is in lower case); a `!` in front turns a word around."""
    for word in sought.removeprefix("/").lower().split():
        turned = len(word) > 1 and word[0] == "!"
        if (word.removeprefix("!") if turned else word) in said:
            if turned:
                return False
        elif not turned:
            return False
    return True


def fit(text: str, room: int) -> str:
    """`text` in exactly `room` cells; what is cut ends with an ellipsis."""
    return text.ljust(room) if len(text) <= room else text[: max(0, room - 1)] + "…"[:room]
