"""Whether a text is a ticket's name, by the operator's pattern, in time that grows with the text only (RE2). Pure."""

from __future__ import annotations

from collections.abc import Callable

LONGEST_TICKET = 128


class NotAPattern(ValueError):
    """A text that RE2 does not take for a pattern; the message says why."""


def ticket_matcher(pattern: str) -> Callable[[str], bool]:
    """Says of a text whether it matches `pattern` (RE2 syntax, anywhere unless anchored). Raises NotAPattern.

    An empty text, one over 128 characters and one with control characters is no ticket, whatever the pattern.
    """
    import re2  # here: only what decides of tickets needs it, and a laptop does without

    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        why = error.args[0] if error.args else "not a pattern"
        text = why.decode(errors="replace") if isinstance(why, bytes) else str(why)
        raise NotAPattern(f'"{pattern}" is not a pattern that RE2 takes: {text}') from None

    def matches(text: str) -> bool:
        return 0 < len(text) <= LONGEST_TICKET and text.isprintable() and compiled.search(text) is not None

    return matches
