"""TLS over any byte stream, trusted by the pin of the peer's public key alone. Standard library only."""

from __future__ import annotations

import ssl
from contextlib import suppress

from fleet.control.link.protocol import Stream
from fleet.errors import HostKeyError
from fleet.vocabulary.pins import pin_matches, pin_of


class PinnedTls:
    """A Stream inside TLS. The handshake and the check of the pin are over when it is made.

    Raises HostKeyError when the peer shows another key: nothing of the request was sent then.
    """

    def __init__(self, inner: Stream, *, pin: str, node: str, name: str = "localhost") -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the pin below is the check
        self._inner = inner
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush()
                if not self._more():
                    raise ConnectionError("the peer hung up during the TLS handshake") from None
        self._flush()
        shown = self._tls.getpeercert(binary_form=True)
        if not pin_matches(shown, pin):
            inner.close()
            raise HostKeyError(
                "its TLS key is not the pinned one",
                detail=f"pinned: {pin}\nshown:  {_pin_text(shown)}\nno key of ours was sent",
                hint="was the gateway's key made anew? fleet adopt reads it over SSH and pins it",
                node=node,
            )

    def settimeout(self, seconds: float | None, /) -> None:
        """Bound the next reads and writes; TimeoutError when it passes."""
        self._inner.settimeout(seconds)

    def recv(self, limit: int, /) -> bytes:
        """Some bytes; none at the end."""
        while True:
            try:
                return self._tls.read(limit)
            except ssl.SSLWantReadError:
                self._flush()
                if not self._more():
                    return b""
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    def sendall(self, data: bytes, /) -> None:
        """Send everything."""
        self._tls.write(data)
        self._flush()

    def close(self) -> None:
        """Say goodbye and give the port back."""
        with suppress(ssl.SSLError, OSError):
            self._tls.unwrap()
        with suppress(OSError):
            self._flush()
        self._inner.close()

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._inner.sendall(data)

    def _more(self) -> bool:
        data = self._inner.recv(65536)
        if not data:
            self._incoming.write_eof()
            return False
        self._incoming.write(data)
        return True


def _pin_text(certificate: bytes | None) -> str:
    try:
        return pin_of(certificate or b"")
    except ValueError:
        return "none that can be read"
