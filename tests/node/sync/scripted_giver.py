"""A giver of weights that says whatever a test wants."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from fleet.vocabulary.contracts.peers import Fetch


@dataclass
class Scripted:
    """A giver that says what it was told to, and counts the bytes that it was asked for."""

    context: ssl.SSLContext
    said: bytes
    asked: list[bytes] = field(default_factory=list)

    @contextmanager
    def listening(self, wish: Fetch) -> Iterator[Fetch]:
        """The wish, at its place."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            thread = threading.Thread(target=self._serve, args=(server,), daemon=True)
            thread.start()
            yield replace(wish, host="127.0.0.1", port=server.getsockname()[1])
            thread.join(10)

    def _serve(self, server: socket.socket) -> None:
        raw, _ = server.accept()
        server.close()  # nobody else is let in, nor kept waiting
        try:
            with self.context.wrap_socket(raw, server_side=True) as line:
                self.asked.append(line.recv(256))
                line.sendall(self.said)
        except OSError:
            pass
