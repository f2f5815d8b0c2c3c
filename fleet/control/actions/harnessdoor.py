"""A front as the harness asks it: over TLS by its pin, or through one SSH session where its port is shut."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fleet.control.actions.ask import Door
from fleet.control.link.http import HttpStream, https_pinned, stream
from fleet.control.link.protocol import Link, Session, target_of
from fleet.errors import ProtocolError, Unreachable
from fleet.vocabulary.hosts import is_loopback


class FrontDoor:
    """A Door of the harness. `link` is needed only where the front cannot be reached directly. Close it."""

    def __init__(self, door: Door, *, link: Link, base: Path, silence_seconds: float = 300.0) -> None:
        self._door = door
        self._link = link
        self._base = base
        self._silence = silence_seconds
        self._session: Session | None = None
        self._lock = threading.Lock()

    @contextmanager
    def ask(self, body: bytes) -> Iterator[HttpStream]:
        """POST to the front's chat surface. Raises Unreachable, HostKeyError, ProtocolError."""
        with ExitStack() as stack:
            yield self._open(stack, "/v1/chat/completions", body)

    def models(self) -> bytes:
        """What it serves. Raises Unreachable, HostKeyError, ProtocolError."""
        with ExitStack() as stack:
            answer = self._open(stack, "/v1/models", None)
            data = answer.read()
        if answer.status != 200:
            raise ProtocolError(
                f"it lists no models (HTTP {answer.status})",
                node=self._door.node.name,
                hint="fleet deploy brings gateway_key there" if answer.status == 401 else "",
            )
        return data

    def close(self) -> None:
        """End the session, if there is one."""
        with self._lock:
            if self._session is not None:
                self._session.close()
                self._session = None

    def _open(self, stack: ExitStack, path: str, body: bytes | None) -> HttpStream:
        door = self._door
        headers = {"Authorization": f"Bearer {door.key.reveal()}", "Content-Type": "application/json"}
        name = door.node.name
        if self._session is None and (door.pin is not None or is_loopback(door.host)):
            try:
                return stack.enter_context(
                    https_pinned(
                        *(door.host, door.port, path),
                        pin=door.pin, body=body, headers=headers, timeout=self._silence, node=name,
                    )
                )  # fmt: skip
            except Unreachable as shut:
                if shut.code != "unreachable" or not is_loopback(door.node.settings.gateway_bind):
                    raise
        session = self._connected()
        return stack.enter_context(
            stream(session, door.port, path, body=body, headers=headers, tls_pin=door.pin, timeout=self._silence)
        )

    def _connected(self) -> Session:
        with self._lock:
            if self._session is None:
                self._session = self._link.connect(target_of(self._door.node, base=self._base))
            return self._session
