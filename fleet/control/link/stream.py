"""A direct-tcpip channel as a socket-like object."""

from __future__ import annotations

import paramiko


class ChannelStream:
    """A connection to a port as the node sees it. TimeoutError and OSError as a socket's."""

    def __init__(self, raw: paramiko.Channel) -> None:
        self._raw = raw

    def settimeout(self, seconds: float | None, /) -> None:
        """Bound the next reads and writes; TimeoutError when it passes."""
        self._raw.settimeout(seconds)

    def recv(self, limit: int, /) -> bytes:
        """Some bytes; none at the end."""
        return self._raw.recv(limit)

    def sendall(self, data: bytes, /) -> None:
        """Send everything."""
        try:
            self._raw.sendall(data)
        except (EOFError, paramiko.SSHException) as error:
            raise ConnectionError(str(error)) from error

    def close(self) -> None:
        """Give the port back."""
        try:
            self._raw.close()
        except (EOFError, paramiko.SSHException, OSError):
            pass
