"""Every text of a request in OpenAI's words, and whatever in it is no text. Pure, total.

Nothing is left out: the walk knows messages and tools, and takes all the rest as plain JSON. What it does not know (an
image, a sound, a file, token numbers, a new kind of content part) is told, so that it can count as not clean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

_TEXT_PARTS = ("text", "input_text", "output_text", "refusal", "thinking", "reasoning")
_DEEPEST = 64
_MOST_STRINGS = 50_000
"""Reading them all may not stop the gateway; what has more is not read to its end."""


@dataclass(frozen=True, slots=True)
class Text:
    """`content`, and where in the request it is: `messages[3].content`."""

    place: str
    content: str


@dataclass(frozen=True, slots=True)
class Texts:
    """All texts of a request, and the places of what nobody can read: `messages[2].content[1]: image_url`."""

    texts: tuple[Text, ...]
    unreadable: tuple[str, ...]


def texts_of(request: Mapping[str, Any]) -> Texts:
    """What there is to scan. The strings of an object come as one text, by lines of `name: value`."""
    walk = _Walk()
    try:
        _read(request, walk)
    except _TooMany:
        walk.unreadable.append(f"more than {_MOST_STRINGS} strings")
    return Texts(tuple(walk.texts), tuple(walk.unreadable))


class _TooMany(Exception):
    """The request is too large to be read to its end."""


def _read(request: Mapping[str, Any], walk: _Walk) -> None:
    settings: dict[str, object] = {}
    for name, value in request.items():
        if name == "messages" and isinstance(value, list):
            for at, message in enumerate(value):
                walk.message(f"messages[{at}]", message)
        elif name in ("prompt", "input"):
            walk.prompt(name, value)
        elif isinstance(value, dict | list):
            walk.plain(name, value)
        else:
            settings[name] = value
    walk.plain("settings", settings)


class _Walk:
    def __init__(self) -> None:
        self.texts: list[Text] = []
        self.unreadable: list[str] = []
        self._left = _MOST_STRINGS

    def message(self, place: str, message: object) -> None:
        self._count()
        if not isinstance(message, dict):
            self.unreadable.append(f"{place}: no message")
            return
        for name, value in message.items():
            if name == "content":
                self.content(f"{place}.content", value)
            elif name == "tool_calls" and isinstance(value, list):
                for at, call in enumerate(value):
                    self._count()
                    self.call(f"{place}.tool_calls[{at}]", call)
            elif name == "function_call":
                self.call(f"{place}.function_call", {"function": value})
            elif name == "audio" and value is not None:
                self.unreadable.append(f"{place}.audio: audio")
            elif name != "role" or value not in ("user", "assistant", "system", "tool", "developer"):
                self.plain(f"{place}.{name}", value)

    def content(self, place: str, content: object) -> None:
        if isinstance(content, str):
            self.text(place, content)
        elif isinstance(content, list):
            for at, part in enumerate(content):
                self._count()
                self.part(f"{place}[{at}]", part)
        elif content is not None:
            self.unreadable.append(f"{place}: no text and no parts")

    def part(self, place: str, part: object) -> None:
        if isinstance(part, str):
            self.text(place, part)
            return
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(part, dict) and kind in _TEXT_PARTS:
            for name, value in part.items():
                if name != "type":
                    self.plain(f"{place}.{name}", value)
            return
        self.unreadable.append(f"{place}: {kind if isinstance(kind, str) else 'unknown'}"[:200])
        self.plain(place, part)

    def call(self, place: str, call: object) -> None:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(call, dict) and isinstance(function, dict) and isinstance(function.get("arguments"), str):
            self.arguments(f"{place}.function.arguments", function["arguments"])
            rest = {name: value for name, value in function.items() if name != "arguments"}
            call = {**call, "function": rest}
        self.plain(place, call)

    def arguments(self, place: str, arguments: str) -> None:
        """JSON inside of a string: scanned as it stands for, and as it stands when that is no JSON."""
        try:
            self.plain(place, msgspec.json.decode(arguments))
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            self.text(place, arguments)

    def prompt(self, place: str, prompt: object) -> None:
        """Of a completion or an embedding: a text, several, or token numbers."""
        if isinstance(prompt, str):
            self.text(place, prompt)
            return
        if _has_numbers(prompt):
            self.unreadable.append(f"{place}: token numbers")
            return
        self.plain(place, prompt)

    def plain(self, place: str, value: object) -> None:
        """Any JSON: its strings as lines, with the names that they have."""
        lines: list[str] = []
        for name, found in _strings(value, "", 0):
            self._count()
            if found is None:
                self.unreadable.append(f"{place}: nested too deeply")
            else:
                lines.append(f"{name}: {found}" if name else found)
        if lines:
            self.text(place, "\n".join(lines))

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise _TooMany

    def text(self, place: str, content: str) -> None:
        if content:
            self.texts.append(Text(place, content))


def _strings(value: object, name: str, depth: int) -> Iterator[tuple[str, str | None]]:
    """Strings with the name that they have in their object; a string that is None was too deep. Names count as well."""
    if isinstance(value, str):
        yield name, value
    elif depth > _DEEPEST:
        yield name, None
    elif isinstance(value, dict):
        for inner, one in value.items():
            if isinstance(one, str):
                yield str(inner), one
            else:
                yield "", str(inner)
                yield from _strings(one, str(inner), depth + 1)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _strings(one, name, depth + 1)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, str(value)


def _has_numbers(prompt: object) -> bool:
    """Whether it is token numbers, or lists of them."""
    if not isinstance(prompt, list):
        return isinstance(prompt, int)
    inner = [one[0] if isinstance(one, list) and one else one for one in prompt[:_MOST_STRINGS]]
    return any(isinstance(one, int) for one in inner)
