"""The switches of a simulated upstream: words in a prompt (`@@cut=120,how=rst@@`) or in a request to the server.

Pure and total: what is no switch, or no value of one, is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

_MARK = re.compile(r"@@(.{1,4000}?)@@", re.DOTALL)
_TOOL = re.compile(r"tool=([\w.-]{1,64})\s*(.*)", re.DOTALL)
_MOST = 10**9


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What goes wrong, and how an answer is shaped. Bytes are counted in the body, chunks are those with text.

    Before the answer. `err`: this status (`code`, `type`, `avail` with `retryable`, `retry_after` shape the error);
    `hang`, `drop` (closed without a word), `reset`; `delay` ms before the headers, `first` ms before the first token.
    In the answer. `gap` ms between chunks; `cut` after that many bytes, `how` = fin, rst or clean (HTTP's own end is
    sent, so only the stream's is missing); `stall` after bytes; `midfail` = an error after that many chunks, `empty`
    without a choice in it; `body_error`, `choice_error`: 200 with an error in it; `malformed` event after that many
    chunks; `crlf`, `multiline`, `split` (every byte alone), `slow` ms per byte, `huge` line of that many bytes;
    `nodone`, `nofinish`, `dupfinish`, `emptyfinish` ("" where null belongs), `finish` = the last one's text; `nousage`;
    `dropped`: finish tool_calls without a call; `silent` ms without a byte within a call.
    The answer itself. `tokens` = that many words; `tool` and `args` = a call of that tool.
    """

    err: int | None = None
    code: str | None = None
    type: str | None = None
    avail: str | None = None
    retryable: bool = False
    retry_after: int | None = None
    hang: bool = False
    drop: bool = False
    reset: bool = False
    delay: int = 0
    first: int = 0
    gap: int = 0
    cut: int | None = None
    how: str = "fin"
    stall: int | None = None
    midfail: int | None = None
    empty: bool = False
    body_error: bool = False
    choice_error: bool = False
    malformed: int | None = None
    crlf: bool = False
    multiline: bool = False
    split: bool = False
    slow: int = 0
    huge: int = 0
    nodone: bool = False
    nofinish: bool = False
    dupfinish: bool = False
    emptyfinish: bool = False
    finish: str | None = None
    nousage: bool = False
    dropped: bool = False
    silent: int = 0
    tokens: int | None = None
    tool: str | None = None
    args: str | None = None

    def over(self, other: Faults) -> Faults:
        """These switches, and those of `other` where nothing is said here."""
        said = {one.name: value for one in fields(self) if (value := getattr(self, one.name)) != one.default}
        return replace(other, **said)


NONE = Faults()


def _number(text: str) -> int | None:
    return min(int(text), _MOST) if text.isascii() and text.isdecimal() and len(text) < 12 else None


def _status(text: str) -> int | None:
    number = _number(text)
    return number if number is not None and 400 <= number <= 599 else None


def _switch(text: str) -> bool | None:
    return {"": True, "1": True, "true": True, "0": False, "false": False}.get(text)


def _word(text: str) -> str | None:
    return text if re.fullmatch(r"[\w.:-]{1,64}", text) else None


def _how(text: str) -> str | None:
    return text if text in ("fin", "rst", "clean") else None


def _reader(name: str, kind: str) -> Callable[[str], Any]:
    special: Mapping[str, Callable[[str], Any]] = {
        "err": _status,
        "how": _how,
        "finish": lambda text: text if text == "" else _word(text),
    }
    if name in special:
        return special[name]
    if kind == "bool":
        return _switch
    return _number if kind.startswith("int") else _word


_READERS: Mapping[str, Callable[[str], Any]] = {
    one.name: _reader(one.name, str(one.type)) for one in fields(Faults) if one.name not in ("tool", "args")
}


def parse_faults(text: str) -> Faults:
    """`cut=120,how=rst` or `cut=120 how=rst`; `tool=NAME {"a": 1}` stands alone."""
    if tool := _TOOL.fullmatch(text.strip()):
        return Faults(tool=tool[1], args=tool[2].strip() or "{}")
    said: dict[str, Any] = {}
    for word in re.split(r"[\s,]+", text.strip()):
        name, _, value = word.partition("=")
        read = _READERS.get(name)
        found = read(value) if read is not None else None
        if found is not None:
            said[name] = found
    return Faults(**said)


def faults_in(prompt: str) -> Faults:
    """All switches of a prompt; of two that say the same the first counts."""
    found = NONE
    for mark in _MARK.finditer(prompt):
        found = found.over(parse_faults(mark[1]))
    return found


def without_switches(prompt: str) -> str:
    """The prompt as a person meant it."""
    return _MARK.sub("", prompt).strip()
