"""The blocks of an answer (a thought, a text, a refusal, a call), from the deltas of a chat stream. Pure.

Both translated surfaces say an answer as blocks that open, grow and close. A block closes when the next one opens. A
call stays open until its arguments are a whole JSON object, so that calls which a backend interleaves lose nothing.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from enum import StrEnum

import msgspec

from fleet.traffic.dialects.delta import CallDelta, Delta


class Kind(StrEnum):
    """What a block is."""

    REASONING = "reasoning"
    TEXT = "text"
    REFUSAL = "refusal"
    CALL = "call"


class Happened(StrEnum):
    """What became of a block."""

    OPENED = "opened"
    GREW = "grew"
    CLOSED = "closed"


class Block:
    """One block. `place` counts from 0 in the order of opening, and is -1 before. `call_id`, `name` are of a call."""

    __slots__ = ("_said", "begun", "call_id", "closed", "kind", "name", "place")

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.place = -1
        self.closed = False
        self.begun = False
        self._said = io.StringIO()  # a list of tokens would be ten times the size of their text
        self.call_id = ""
        self.name = ""

    @property
    def text(self) -> str:
        """All that was said; of a call, its arguments."""
        return self._said.getvalue()

    def add(self, text: str) -> None:
        """It grew."""
        self.begun = True
        self._said.write(text)


Step = tuple[Happened, Block, str]


class Blocks:
    """Give it deltas in order. `new_call_id` makes an id, from the place, for a call that came without one."""

    def __init__(self, new_call_id: Callable[[int], str]) -> None:
        self.opened: list[Block] = []
        self._new_call_id = new_call_id
        self._prose: Block | None = None
        self._calls: dict[int, Block] = {}
        self._last_call: Block | None = None
        self._open_calls: list[Block] = []

    @property
    def has_calls(self) -> bool:
        """Whether a call was made."""
        return self._last_call is not None

    def take(self, delta: Delta) -> list[Step]:
        """What `delta` does to the blocks."""
        steps: list[Step] = []
        if delta.reasoning:
            self._say(Kind.REASONING, delta.reasoning, steps)
        if delta.text:
            self._say(Kind.TEXT, delta.text, steps)
        if delta.refusal:
            self._say(Kind.REFUSAL, delta.refusal, steps)
        for call in delta.calls:
            self._call(call, steps)
        return steps

    def end(self) -> list[Step]:
        """The answer is over: what is open closes, in order."""
        steps: list[Step] = []
        for block in self._open_calls:
            if block.place < 0:  # its name never came
                self._open(block, steps)
        steps += [(Happened.CLOSED, block, "") for block in self.opened if not block.closed]
        for block in self.opened:
            block.closed = True
        return steps

    def _say(self, kind: Kind, text: str, steps: list[Step]) -> None:
        block = self._prose
        if block is None or block.kind is not kind:
            block = Block(kind)
            self._open(block, steps)
            self._prose = block
        block.add(text)
        steps.append((Happened.GREW, block, text))

    def _call(self, call: CallDelta, steps: list[Step]) -> None:
        block = self._call_of(call)
        block.call_id = block.call_id or call.id
        block.name = block.name or call.name
        if block.closed:  # a whole object was said: what comes after it are blanks or a repetition
            return
        # Blanks before a JSON text mean nothing, and Anthropic's SDK ends a stream over a first delta of blanks.
        arguments = call.arguments if block.begun else call.arguments.lstrip()
        if arguments:
            block.add(arguments)
        if block.place >= 0:
            if arguments:
                steps.append((Happened.GREW, block, arguments))
        elif block.name:
            self._open(block, steps)

    def _call_of(self, call: CallDelta) -> Block:
        known = self._last_call if call.index is None else self._calls.get(call.index)
        if known is not None and call.name:
            # Some backends give every call the index 0, or none at all: a named call of another id is another call.
            same = bool(call.id) and call.id == known.call_id
            other = bool(call.id and known.call_id) and not same
            known = None if other or (call.index is None and known.name and not same) else known
        if known is None:
            known = Block(Kind.CALL)
            self._open_calls.append(known)
            if call.index is not None:
                self._calls[call.index] = known
        self._last_call = known
        return known

    def _open(self, block: Block, steps: list[Step]) -> None:
        if self._prose is not None:
            self._close(self._prose, steps)
            self._prose = None
        for call in [one for one in self._open_calls if one is not block and one.place >= 0]:
            if is_object(call.text):
                self._close(call, steps)
                self._open_calls.remove(call)
        block.place = len(self.opened)
        self.opened.append(block)
        if block.kind is Kind.CALL:
            block.call_id = block.call_id or self._new_call_id(block.place)
        steps.append((Happened.OPENED, block, ""))
        if block.begun:
            steps.append((Happened.GREW, block, block.text))

    @staticmethod
    def _close(block: Block, steps: list[Step]) -> None:
        block.closed = True
        steps.append((Happened.CLOSED, block, ""))


def is_object(text: str) -> bool:
    """Whether `text` is a whole JSON object."""
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
