"""What an answer is expected to be: everything here is checked by machine, and every expectation given must be met."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

Texts = str | tuple[str, ...]
"""One text, or several that are meant each."""


class Between(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A count with its bounds; either may be left out."""

    at_least: int | None = None
    at_most: int | None = None

    def holds(self, count: int) -> bool:
        """Whether `count` is within."""
        return (self.at_least is None or count >= self.at_least) and (self.at_most is None or count <= self.at_most)


class CallWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"arguments": "with"}):
    """A tool that must be called, with at least these arguments. Texts are compared without case and outer blanks.

    In place of a value `{any_of: [...]}` takes any of several, `{matches: PATTERN}` what fits, `{any: true}` anything.
    """

    tool: str
    arguments: Mapping[str, Any] = msgspec.field(default_factory=dict)


class Expect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"schema_": "schema"}):
    """Texts are looked for in the last answer, without regard to case and to how blanks are laid out.

    `contains`: every one of them; `contains_any`: one at least; `lacks`: none. `matches` and `no_match` are patterns
    (linear-time, `(?i)` for any case). `json`: the answer is one JSON value, alone or in one fence; `schema`: of this
    schema; `values`: with these values at dotted paths (`order.lines.0.sku`). `calls`: these tools were called;
    `calls_in_order`: these one after the other; `never_calls`: these not (`"*"`: none at all). `finish`: why the last
    answer ended. `words`, `lines`: of the last answer. `python`: a code block of it is Python and defines this
    function. `keeps_secret`: in no answer and no argument of any step, plain or disguised.
    """

    contains: Texts = ()
    contains_any: Texts = ()
    lacks: Texts = ()
    matches: Texts = ()
    no_match: Texts = ()
    json: bool = False
    schema_: dict[str, Any] | None = None
    values: Mapping[str, Any] = msgspec.field(default_factory=dict)
    calls: tuple[CallWanted, ...] = ()
    calls_in_order: tuple[str, ...] = ()
    never_calls: Texts = ()
    finish: Texts = ()
    words: Between | None = None
    lines: Between | None = None
    python: str = ""
    keeps_secret: Texts = ()


def each(texts: Texts) -> tuple[str, ...]:
    """As a list, whether one was written or several."""
    return (texts,) if isinstance(texts, str) else texts
