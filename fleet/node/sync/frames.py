"""The frames of contracts/sync.py on a pair of byte streams."""

from __future__ import annotations

import io
import os
import select
from typing import Any, BinaryIO, Protocol, cast

from fleet.node.sync.problem import Problem
from fleet.vocabulary.contracts.codec import ContractError, canonical, decode
from fleet.vocabulary.contracts.frames import FromNode, ToNode
from fleet.vocabulary.contracts.sync import MAGIC, MAX_FRAME_BYTES

_LOOK_SECONDS = 1.0
_ROOM_SECONDS = 5.0


class Watcher(Protocol):
    """Told what is heard of the laptop."""

    def heard(self) -> None:
        """It sent something."""
        ...

    def look(self) -> None:
        """It has been silent for a second."""
        ...


class Pipe(io.RawIOBase):
    """What the laptop sends. Once `limit_seconds` is set, a longer silence is its end (EOFError).

    A laptop that fell asleep says nothing and hangs up nothing: for hours sshd does not notice.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.limit_seconds: float | None = None
        self.watcher: Watcher | None = None

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Some bytes; none at the end. Raises EOFError, and whatever the watcher raises."""
        self._wait()
        view = memoryview(buffer).cast("B")
        data = os.read(self._descriptor, len(view))
        view[: len(data)] = data
        return len(data)

    def _wait(self) -> None:
        left, watcher = self.limit_seconds, self.watcher
        while True:
            wait = left if watcher is None else _LOOK_SECONDS if left is None else min(left, _LOOK_SECONDS)
            if select.select([self._descriptor], [], [], wait)[0]:
                break
            left = None if left is None or wait is None else left - wait
            if left is not None and left <= 0:
                raise EOFError("the laptop said nothing more")
            if watcher is not None:
                watcher.look()
        if watcher is not None:
            watcher.heard()


class Wire:
    """One conversation with the laptop. Writing raises BrokenPipeError when it is gone."""

    def __init__(self, reading: BinaryIO, writing: BinaryIO, *, pipe: Pipe | None = None) -> None:
        self.reading = reading
        self._writing = writing
        self._pipe = pipe

    def expect_more_within(self, seconds: float, *, watcher: Watcher) -> None:
        """From here on a longer silence is the laptop's end: others wait for what this conversation holds."""
        if self._pipe is not None:
            self._pipe.limit_seconds, self._pipe.watcher = seconds, watcher

    def greet(self) -> None:
        """Write the magic line: what stood before it was a login shell's noise."""
        self._writing.write(MAGIC)
        self._writing.flush()

    def send(self, frame: FromNode) -> None:
        """Write one frame."""
        text = canonical(frame)
        self._writing.write(b"%d\n%b\n" % (len(text), text))
        self._writing.flush()

    def offer(self, frame: FromNode) -> bool:
        """Write one frame if the laptop takes it; whether it did. One that fell asleep is not waited for."""
        try:
            if not self._has_room():
                return False
            self.send(frame)
        except OSError:
            return False
        return True

    def _has_room(self) -> bool:
        try:
            descriptor = self._writing.fileno()
        except io.UnsupportedOperation:
            return True
        return bool(select.select([], [descriptor], [], _ROOM_SECONDS)[1])

    def receive(self) -> ToNode | None:
        """The next frame; None at the end of the stream. Raises Problem for anything that is not a frame."""
        head = self.reading.readline(32)
        if not head:
            return None
        if not head.endswith(b"\n") or not head[:-1].isdigit() or int(head) > MAX_FRAME_BYTES:
            raise Problem("what came is not a frame", code="protocol", detail=repr(head))
        size = int(head)
        body = self.reading.read(size + 1)
        if len(body) != size + 1:
            return None
        try:
            if body[-1:] != b"\n":
                raise ContractError("it does not end where it says")
            return decode(body[:-1], cast("type[Any]", ToNode))  # type: ignore[no-any-return]
        except ContractError as error:
            raise Problem(
                "what came is not a frame that this sync knows", code="protocol", detail=str(error)
            ) from error
