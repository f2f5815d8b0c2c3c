"""What a harness asks through: a door that takes a body and gives a stream. Who opens it is the caller's business."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from fleet.errors import Unreachable


class NotSent(Unreachable):
    """No connection came about: nothing of what was asked went out, so nothing of it costs."""


class Reading(Protocol):
    """An answer of HTTP that is read piece by piece. Header names are in lower case."""

    @property
    def status(self) -> int:
        """The status line's."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """What it says before its body."""
        ...

    @property
    def chunks(self) -> Iterator[bytes]:
        """The body, as it comes. Raises FleetError when it breaks off."""
        ...


class Door(Protocol):
    """An OpenAI-compatible server. May be used by several threads at once."""

    def ask(self, body: bytes) -> AbstractContextManager[Reading]:
        """POST to `chat/completions`; leaving the block hangs up. Raises FleetError: it cannot be reached."""
        ...

    def models(self) -> bytes:
        """GET `models`. Raises FleetError."""
        ...
