"""HTTP/1.1 to a port of a node over its SSH session, or straight to a gateway whose TLS key is pinned.

`timeout` of `get` and `post` bounds the whole exchange; that of `stream` bounds the head, then each wait for more.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.control.link import tcp
from fleet.control.link.deadline import Deadline
from fleet.control.link.pinned_tls import PinnedTls
from fleet.errors import FleetError, ProtocolError, Unreachable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from fleet.control.link.protocol import Session, Stream

LIMIT_BYTES = 64 * 1024 * 1024
NO_HEADERS: Mapping[str, str] = {}


@dataclass(frozen=True)
class HttpAnswer:
    """A whole answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class HttpStream:
    """An answer whose body comes as it is produced. Iterate once; leaving the `with` block hangs up."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]

    def read(self) -> bytes:
        """All that is left."""
        return b"".join(self.chunks)

    def lines(self) -> Iterator[bytes]:
        """Lines without their newline, as they are complete."""
        rest = b""
        for chunk in self.chunks:
            *whole, rest = (rest + chunk).split(b"\n")
            yield from (line.rstrip(b"\r") for line in whole)
        if rest:
            yield rest


def get(
    session: Session,
    port: int,
    path: str,
    *,
    headers: Mapping[str, str] = NO_HEADERS,
    tls_pin: str | None = None,
    timeout: float = 10.0,
) -> HttpAnswer:
    """GET from a loopback port of the node. Raises Unreachable, HostKeyError (another TLS key), ProtocolError."""
    return _whole(_over(session, port, tls_pin), "GET", path, None, headers, timeout, session.node, f"port {port}")


def post(
    session: Session,
    port: int,
    path: str,
    *,
    body: bytes,
    headers: Mapping[str, str] = NO_HEADERS,
    tls_pin: str | None = None,
    timeout: float = 60.0,
) -> HttpAnswer:
    """POST to a loopback port of the node. Errors as `get`."""
    return _whole(_over(session, port, tls_pin), "POST", path, body, headers, timeout, session.node, f"port {port}")


@contextmanager
def stream(
    session: Session,
    port: int,
    path: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] = NO_HEADERS,
    tls_pin: str | None = None,
    timeout: float = 60.0,
) -> Iterator[HttpStream]:
    """GET, or POST when there is a body, whose answer is read piece by piece. Errors as `get`."""
    opener = _over(session, port, tls_pin)
    method = "GET" if body is None else "POST"
    with _exchange(opener, method, path, body, headers, timeout, session.node, f"port {port}") as answer:
        yield answer


@contextmanager
def https_pinned(
    host: str,
    port: int,
    path: str,
    *,
    pin: str | None,
    body: bytes | None = None,
    headers: Mapping[str, str] = NO_HEADERS,
    timeout: float = 60.0,
    node: str = "",
) -> Iterator[HttpStream]:
    """Straight over the network, by a pinned key; the pin is checked before anything is sent. `pin` None = no TLS."""

    def opener(deadline: Deadline) -> Stream:
        sock = tcp.connect(host, port, deadline=deadline, node=node)
        return _secured(sock, pin, node, deadline)

    method = "GET" if body is None else "POST"
    with _exchange(opener, method, path, body, headers, timeout, node, f"{host} port {port}") as answer:
        yield answer


_Opener = Callable[[Deadline], "Stream"]


def _over(session: Session, port: int, pin: str | None) -> _Opener:
    def opener(deadline: Deadline) -> Stream:
        raw = session.open_tcp(port, within_seconds=max(0.05, deadline.left_seconds))
        return _secured(raw, pin, session.node, deadline)

    return opener


def _secured(raw: Stream, pin: str | None, node: str, deadline: Deadline) -> Stream:
    if pin is None:
        return raw
    try:
        return PinnedTls(_Timed(raw, _Patience(deadline)), pin=pin, node=node)
    except BaseException:
        raw.close()
        raise


@dataclass
class _Patience:
    """Until when to wait for the next byte."""

    deadline: Deadline


class _Timed:
    """A Stream whose every wait ends with a deadline."""

    def __init__(self, inner: Stream, patience: _Patience) -> None:
        self._inner = inner
        self._patience = patience

    def settimeout(self, seconds: float | None, /) -> None:
        """Given by the deadline instead."""

    def recv(self, limit: int, /) -> bytes:
        """Some bytes; none at the end. TimeoutError after the deadline."""
        self._arm()
        return self._inner.recv(limit)

    def sendall(self, data: bytes, /) -> None:
        """Send everything. TimeoutError after the deadline."""
        self._arm()
        self._inner.sendall(data)

    def close(self) -> None:
        """Give the port back."""
        self._inner.close()

    def makefile(self, mode: str) -> io.BufferedReader:
        """What http.client reads from."""
        assert mode == "rb"
        return io.BufferedReader(_Raw(self))

    def _arm(self) -> None:
        if self._patience.deadline.passed:
            raise TimeoutError("timed out")
        self._inner.settimeout(self._patience.deadline.left_seconds)


class _Lent(_Timed):
    """A stream that http.client may not close: it does so as soon as it sees `Connection: close` in the head, while
    the body is still to come (a real socket lives on in its makefile).
    """

    def close(self) -> None:
        """Left to the exchange that opened it."""


class _Raw(io.RawIOBase):
    def __init__(self, stream: _Timed) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._stream.recv(len(view))
        view[: len(data)] = data
        return len(data)


class _Connection(http.client.HTTPConnection):
    """http.client over a stream that is already there."""

    def __init__(self, stream: _Timed) -> None:
        super().__init__("127.0.0.1")
        self.auto_open = 0
        self.sock = stream  # sendall, makefile and close are all it uses


@contextmanager
def _exchange(
    opener: _Opener,
    method: str,
    path: str,
    body: bytes | None,
    headers: Mapping[str, str],
    timeout: float,
    node: str,
    where: str,
    *,
    whole: bool = False,
) -> Iterator[HttpStream]:
    patience = _Patience(Deadline.after(timeout))
    raw: Stream | None = None
    try:
        with told(node, where, path, timeout):
            raw = opener(patience.deadline)
            connection = _Connection(_Lent(raw, patience))
            connection.request(method, path, body=body, headers={"Connection": "close", **headers})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            yield HttpStream(answer.status, found, _chunks(answer, patience, None if whole else timeout))
    finally:
        if raw is not None:
            raw.close()


@contextmanager
def told(node: str, where: str, path: str, timeout: float) -> Iterator[None]:
    """What goes wrong with an exchange in the block, as an error for people."""
    try:
        yield
    except FleetError:
        raise
    except http.client.HTTPException as error:
        cause = str(error) or type(error).__name__
        raise ProtocolError(f"{where} did not answer as HTTP: {cause}", detail=path, node=node or None) from None
    except TimeoutError:
        raise Unreachable(f"{where} gave no answer within {timeout:g} s", detail=path, node=node or None) from None
    except (ssl.SSLError, OSError, EOFError) as error:
        raise Unreachable(f"{where}: {_cause(error)}", detail=path, node=node or None) from None


def _chunks(answer: http.client.HTTPResponse, patience: _Patience, each_seconds: float | None) -> Iterator[bytes]:
    while True:
        if each_seconds is not None:
            patience.deadline = Deadline.after(each_seconds)
        data = answer.read1(65536)
        if not data:
            if answer.length:  # read1 takes a short body for a whole one
                raise http.client.IncompleteRead(b"", answer.length)
            return
        yield data


def _whole(
    opener: _Opener,
    method: str,
    path: str,
    body: bytes | None,
    headers: Mapping[str, str],
    timeout: float,
    node: str,
    where: str,
) -> HttpAnswer:
    with _exchange(opener, method, path, body, headers, timeout, node, where, whole=True) as answer:
        parts, size = [], 0
        for chunk in answer.chunks:
            parts.append(chunk)
            size += len(chunk)
            if size > LIMIT_BYTES:
                raise ProtocolError(f"{where} sent more than {LIMIT_BYTES} bytes", detail=path, node=node or None)
        return HttpAnswer(answer.status, answer.headers, b"".join(parts))


def _cause(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or error})"
    if isinstance(error, socket.gaierror):
        return f"name not known ({error.strerror})"
    return str(error) or "the connection was lost"
