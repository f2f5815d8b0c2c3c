"""One kept HTTP/1.1 connection to a loopback port of a node: GETs, one after another, over one channel.

A new channel for each would cost laptop and node twice as much. For our own listeners: an answer in pieces (chunked) is
refused. For one thread.
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from fleet.control.link.deadline import Deadline
from fleet.control.link.http import LIMIT_BYTES, NO_HEADERS, HttpAnswer, told
from fleet.control.link.protocol import Session, Stream
from fleet.errors import FleetError, ProtocolError

_STATUS = re.compile(rb"HTTP/1\.([01]) ([0-9]{3})(?: .*)?")
_MOST_HEAD_BYTES = 64 * 1024
_LEAST_WAIT_SECONDS = 0.001
"""What has come already is read after a deadline, too."""


class _Gone(Exception):
    """The other side hung up before it said anything."""


class KeptHttp:
    """GETs of one port. The channel is opened when it is first needed, and again when the other side gave it up."""

    def __init__(self, session: Session, port: int) -> None:
        self._session, self._port = session, port
        self._stream: Stream | None = None
        self._fresh = False
        self._asked: bytes | None = None

    def ask(self, path: str, *, headers: Mapping[str, str] = NO_HEADERS, timeout: float = 10.0) -> None:
        """Send what the next `get` asks, which then only waits: so one thread asks many nodes before it waits for any.

        Raises Unreachable and ProtocolError.
        """
        with self._telling(path, timeout):
            if self._asked is not None:
                self.close()  # nobody fetched the answer
            self._send(_request(path, headers), Deadline.after(timeout))

    def get(self, path: str, *, headers: Mapping[str, str] = NO_HEADERS, timeout: float = 10.0) -> HttpAnswer:
        """The whole answer. Raises Unreachable and ProtocolError; after one, the next begins with a new channel."""
        request, deadline = _request(path, headers), Deadline.after(timeout)
        with self._telling(path, timeout):
            if self._asked != request:
                if self._asked is not None:
                    self.close()  # another answer is under way
                self._send(request, deadline)
            try:
                return self._receive(deadline)
            except _Gone:
                if self._fresh:
                    raise ConnectionError("the connection was lost") from None
            self.close()  # a kept one that was closed just when we asked: once more on a new one
            self._send(request, deadline)
            try:
                return self._receive(deadline)
            except _Gone:
                raise ConnectionError("the connection was lost") from None

    def close(self) -> None:
        """Give the channel back."""
        self._asked = None
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    @contextmanager
    def _telling(self, path: str, timeout: float) -> Iterator[None]:
        try:
            with told(self._session.node, f"port {self._port}", path, timeout):
                yield
        except FleetError:
            self.close()
            raise

    def _send(self, request: bytes, deadline: Deadline) -> None:
        self._fresh = self._stream is None
        if self._stream is None:
            self._stream = self._session.open_tcp(self._port, within_seconds=max(0.05, deadline.left_seconds))
        self._asked = request
        self._stream.settimeout(max(_LEAST_WAIT_SECONDS, deadline.left_seconds))
        try:
            self._stream.sendall(request)
        except ConnectionError:
            if self._fresh:
                raise  # else `_receive` finds it gone, and `get` begins anew

    def _receive(self, deadline: Deadline) -> HttpAnswer:
        data = bytearray()
        while (end := data.find(b"\r\n\r\n")) < 0:
            part = self._recv(deadline, begun=bool(data))
            if not part or len(data) > _MOST_HEAD_BYTES:
                raise http.client.BadStatusLine(bytes(data[:80]).decode("latin-1"))
            data += part
        head = parse_head(bytes(data[:end]))
        del data[: end + 4]
        while head.length is None or len(data) < head.length:
            if len(data) > LIMIT_BYTES or (head.length or 0) > LIMIT_BYTES:
                raise ProtocolError(f"port {self._port} sent more than {LIMIT_BYTES} bytes", node=self._session.node)
            part = self._recv(deadline, begun=True)
            if not part:
                if head.length is not None:
                    raise http.client.IncompleteRead(b"", head.length - len(data))
                break
            data += part
        whole = head.length is not None and len(data) == head.length
        self._asked = None
        if not (whole and head.keep_alive):
            self.close()
        return HttpAnswer(head.status, head.fields, bytes(data[: head.length]))

    def _recv(self, deadline: Deadline, *, begun: bool) -> bytes:
        """Some bytes; none at the end. Raises _Gone at an end before anything came."""
        assert self._stream is not None
        self._stream.settimeout(max(_LEAST_WAIT_SECONDS, deadline.left_seconds))
        try:
            part = self._stream.recv(65536)
        except ConnectionError:
            if begun:
                raise
            part = b""
        if not part and not begun:
            raise _Gone
        return part


@dataclass(frozen=True, kw_only=True)
class Head:
    """The head of an answer. `length` None: the body ends with the connection."""

    status: int
    fields: dict[str, str]
    keep_alive: bool
    length: int | None


def parse_head(raw: bytes) -> Head:
    """Of a head without its final empty line. Raises HTTPException. Names of fields are in lower case."""
    first, *rest = raw.split(b"\r\n")
    line = _STATUS.fullmatch(first)
    if line is None:
        raise http.client.BadStatusLine(first[:80].decode("latin-1"))
    fields: dict[str, str] = {}
    for item in rest:
        name, _, value = item.decode("latin-1").partition(":")
        fields[name.strip().lower()] = value.strip()
    if "transfer-encoding" in fields:
        raise http.client.UnknownTransferEncoding(fields["transfer-encoding"])
    length, status = fields.get("content-length"), int(line[2])
    if length is not None and not (length.isascii() and length.isdecimal()):
        raise http.client.HTTPException(f"Content-Length: {length[:40]}")
    if status in (204, 304):
        length = "0"
    keep = line[1] == b"1" and fields.get("connection", "").lower() != "close"
    return Head(status=status, fields=fields, keep_alive=keep, length=None if length is None else int(length))


def _request(path: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    if any(mark in line for line in lines for mark in "\r\n"):
        raise ProtocolError("a header field of ours is broken over two lines", detail=path)
    return "\r\n".join((*lines, "\r\n")).encode("latin-1")
